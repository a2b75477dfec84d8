// Which page of a list is asked for: `offset` in a query, opaque to clients (contract: the page's number in
// base64, so that `Mg==` is the second).

/** @returns the page's number, from 1; whatever is not an offset that we made is the first page */
export function parseOffset(offset: string | undefined): number {
  const text = Buffer.from(offset ?? '', 'base64').toString('latin1')
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : 1
}

export function formatOffset(page: number): string {
  return Buffer.from(String(page)).toString('base64')
}

/** The offset of the page after `page`, or undefined if `page` is the last one. */
export function nextOffset(page: number, size: number, total: number): string | undefined {
  return page * size < total ? formatOffset(page + 1) : undefined
}
