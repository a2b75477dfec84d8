// What opens a thing registers its release there and then; release runs them in reverse, whatever fails.

export class Resources {
  readonly #releases: { name: string; release: () => unknown }[] = []
  #released = false

  /**
   * Registers `release`, run once by `release()`, or now if that was called already: what is opened by a start that was
   * given up is closed again. `name` says what failed if it throws.
   */
  add(name: string, release: () => unknown): void {
    this.#releases.push({ name, release })
    // Whoever gave up is told elsewhere; what fails here has nobody left to hear of it.
    if (this.#released) this.release().catch(() => undefined)
  }

  /** Registers `thing.stop()` and returns the thing. */
  own<T extends { stop(): unknown }>(name: string, thing: T): T {
    this.add(name, () => thing.stop())
    return thing
  }

  /**
   * Releases everything, newest first, each even if one before it failed.
   * @throws {AggregateError} of all that failed, each named, once everything was tried
   */
  async release(): Promise<void> {
    this.#released = true
    const failures: Error[] = []
    for (let next = this.#releases.pop(); next; next = this.#releases.pop()) {
      try {
        await next.release()
      } catch (cause) {
        failures.push(new Error(`could not release ${next.name}`, { cause }))
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((f) => f.message).join('; '))
  }
}
