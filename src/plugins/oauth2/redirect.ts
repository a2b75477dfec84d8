// Where the browser is sent back to, with what the client is to hear in the query string.

/** Those that are undefined are left out. */
export type Parameters = Readonly<Record<string, string | number | undefined>>

/**
 * `uri` with `parameters` in the place of its own of the same names, all of them sorted by name. What is encoded is so
 * as in a path: a blank is `%20`.
 */
export function withParameters(uri: string, parameters: Parameters): string {
  const [whole = ''] = uri.split('#', 1)
  const mark = whole.indexOf('?')
  const [address, query] = mark < 0 ? [whole, ''] : [whole.slice(0, mark), whole.slice(mark + 1)]
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined)
  const own = [...new URLSearchParams(query)].filter(([name]) => given.every(([other]) => other !== name))
  const all = [...own, ...given].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `${address}?${all.map(([name, value]) => `${encode(name)}=${encode(String(value))}`).join('&')}`
}

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
