// Dates as HTTP writes them (RFC 9110, 5.6.7): in its own form, and in the two that a recipient must know besides.

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const month = `(?<month>${months.join('|')})`
const time = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)'
const short = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)'
const long = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day'

const forms = [
  new RegExp(`^${short}, (?<day>\\d\\d) ${month} (?<year>\\d{4}) ${time} GMT$`),
  new RegExp(`^${long}, (?<day>\\d\\d)-${month}-(?<year>\\d\\d) ${time} GMT$`),
  new RegExp(`^${short} ${month} (?<day>[ \\d]\\d) ${time} (?<year>\\d{4})$`),
]

/**
 * Milliseconds since 1970, or undefined for what is no date. The day of the week is not held against the date.
 *
 * @param now  milliseconds since 1970; a year of two digits is at most fifty years after it
 */
export function parseHttpDate(text: string, now: number): number | undefined {
  const parts = forms.map((form) => form.exec(text)?.groups).find((groups) => groups)
  if (!parts) return undefined
  const [day, hour, minute, second] = ['day', 'hour', 'minute', 'second'].map((name) => Number(parts[name]))
  const year = wholeYear(parts.year as string, new Date(now).getUTCFullYear())
  const date = new Date(Date.UTC(year, months.indexOf(parts.month as string), day, hour, minute, second))
  // What is out of its range would come out as another date.
  const isAsGiven =
    date.getUTCDate() === day && date.getUTCHours() === hour && date.getUTCMinutes() === minute
  return isAsGiven ? date.getTime() : undefined
}

function wholeYear(digits: string, thisYear: number): number {
  if (digits.length === 4) return Number(digits)
  const year = thisYear - (thisYear % 100) + Number(digits)
  return year > thisYear + 50 ? year - 100 : year
}
