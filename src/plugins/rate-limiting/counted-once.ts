// A request is counted once, however often it is resolved anew because the configuration changes under it.
import type { Ask, Counters, PluginRequest, Tally } from '../plugin.ts'

export class CountedOnce {
  readonly #counters: Counters
  /** By what came in, which stays the same: the request is made of it anew each time. Then by counter. */
  readonly #tallies = new WeakMap<PluginRequest['incoming'], Map<string, Tally>>()

  constructor(counters: Counters) {
    this.#counters = counters
  }

  /**
   * As `Counting.take`, but what was counted before in the same counter is told again, whatever its limits are by now.
   * What was refused was not counted, and is asked anew.
   */
  take({ incoming }: PluginRequest, policy: keyof Counters, ask: Ask): Tally | Promise<Tally> {
    const counter = `${policy} ${ask.api} ${ask.identifier}`
    const before = this.#tallies.get(incoming)?.get(counter)
    if (before) return before
    const keep = (tally: Tally) => {
      if (tally.counted) this.#keep(incoming, counter, tally)
      return tally
    }
    const tally = this.#counters[policy].take(ask)
    return tally instanceof Promise ? tally.then(keep) : keep(tally)
  }

  #keep(incoming: PluginRequest['incoming'], counter: string, tally: Tally): void {
    const tallies = this.#tallies.get(incoming) ?? new Map<string, Tally>()
    this.#tallies.set(incoming, tallies.set(counter, tally))
  }
}
