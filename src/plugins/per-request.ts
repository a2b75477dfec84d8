// What a plugin remembers of one request from one of its phases to the next.

/**
 * As a WeakMap from requests, and gone with them; but it lies with the request itself, since the garbage collector
 * looks through all of a WeakMap, and with thousands of requests a second that costs more than most plugins do.
 */
export class PerRequest<T> {
  readonly #place = Symbol('remembered')

  get(request: object): T | undefined {
    return (request as { [place: symbol]: T | undefined })[this.#place]
  }

  set(request: object, value: T): void {
    ;(request as { [place: symbol]: T | undefined })[this.#place] = value
  }
}
