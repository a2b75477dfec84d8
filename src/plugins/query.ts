// A query string, read and cut without touching the bytes that stay.

/** Every value of the parameter `name`, decoded; undefined for `?name` without `=`. */
export function queryValues(query: string | undefined, name: string): (string | undefined)[] {
  return parts(query).flatMap((part) => {
    const mark = part.indexOf('=')
    if (decode(mark < 0 ? part : part.slice(0, mark)) !== name) return []
    return [mark < 0 ? undefined : decode(part.slice(mark + 1))]
  })
}

/** The query without the parameter `name`; undefined when nothing is left. */
export function withoutParameter(query: string | undefined, name: string): string | undefined {
  const kept = parts(query).filter((part) => decode(part.split('=', 1)[0] as string) !== name)
  return kept.length === 0 ? undefined : kept.join('&')
}

function parts(query: string | undefined): string[] {
  return query === undefined || query === '' ? [] : query.split('&')
}

/** Percent-encoded UTF-8 with `+` for a blank; text that is none of that stands for itself. */
function decode(text: string): string {
  const utf8 = Buffer.from(text, 'latin1').toString('utf8')
  try {
    return decodeURIComponent(utf8.replaceAll('+', ' '))
  } catch {
    return utf8
  }
}
