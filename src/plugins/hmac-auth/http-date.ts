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
  const parts = partsOf(text)
  if (!parts) return undefined
  const { day, hour, minute, second } = parts
  const year = parts.year?.length === 2 ? wholeYear(Number(parts.year), now) : Number(parts.year)
  const month = months.indexOf(parts.month as string)
  const date = new Date(Date.UTC(year, month, Number(day), Number(hour), Number(minute), Number(second)))
  // What is out of its range would come out as another date.
  const isAsGiven =
    date.getUTCDate() === Number(day) &&
    date.getUTCHours() === Number(hour) &&
    date.getUTCMinutes() === Number(minute)
  return isAsGiven ? date.getTime() : undefined
}

/** Reads dates, the same one once as long as no other comes: the requests of one second all say the same. */
export class KnownDate {
  #text: string | undefined
  #date: number | undefined

  /** As `parseHttpDate`. */
  parse(text: string, now: number): number | undefined {
    if (text === this.#text) return this.#date
    const date = parseHttpDate(text, now)
    // What any other form says depends on when it is read.
    if (text.length === usualChars) {
      this.#text = text
      this.#date = date
    }
    return date
  }
}

/** Of the first form, and of neither of the others. */
const usualChars = 'Sun, 06 Nov 1994 08:49:37 GMT'.length

/** By the first form that fits: nearly all are of the first. */
function partsOf(text: string): Readonly<Record<string, string>> | undefined {
  for (const form of forms) {
    const groups = form.exec(text)?.groups
    if (groups) return groups
  }
  return undefined
}

function wholeYear(digits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + digits
  return year > thisYear + 50 ? year - 100 : year
}
