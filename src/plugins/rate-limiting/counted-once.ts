// A request is counted once, however often it is resolved anew because the configuration changes under it.
import { PerRequest } from '../per-request.ts'
import type { Ask, Counters, PluginRequest, Tally } from '../plugin.ts'

export class CountedOnce {
  readonly #counters: Counters
  /** By what came in, which stays the same: the request is made of it anew each time. Then by counter. */
  readonly #tallies = new PerRequest<readonly Counted[]>()

  constructor(counters: Counters) {
    this.#counters = counters
  }

  /**
   * As `Counting.take`, but what was counted before in the same counter is told again, whatever its limits are by now.
   * What was refused was not counted, and is asked anew.
   */
  take({ incoming }: PluginRequest, policy: keyof Counters, ask: Ask): Tally | Promise<Tally> {
    const before = this.#tallies.get(incoming)?.find((counted) => isSame(counted, policy, ask))
    if (before) return before.tally
    const tally = this.#counters[policy].take(ask)
    if (tally instanceof Promise) return tally.then((tally) => this.#keep(incoming, policy, ask, tally))
    return this.#keep(incoming, policy, ask, tally)
  }

  #keep(incoming: PluginRequest['incoming'], policy: keyof Counters, ask: Ask, tally: Tally): Tally {
    if (tally.counted)
      this.#tallies.set(incoming, [...(this.#tallies.get(incoming) ?? []), { policy, ask, tally }])
    return tally
  }
}

interface Counted {
  readonly policy: keyof Counters
  readonly ask: Ask
  readonly tally: Tally
}

function isSame(counted: Counted, policy: keyof Counters, { api, identifier }: Ask): boolean {
  return counted.policy === policy && counted.ask.api === api && counted.ask.identifier === identifier
}
