// Which upstreams fail: the log is told when one begins to, and when it answers again, and not of each request between.
import QuickLRU from 'quick-lru'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { UpstreamUrl } from '../entities/upstream-url.ts'
import type { UpstreamFailed } from './errors.ts'

interface Trouble {
  /** That it fails, for the last time, and why. */
  saidAt: number
  saidReason: string
  /** Since the log was told that it fails, until it is told that it answers; undefined: that was last. */
  failingSince: number | undefined
  /** Since then, or not told yet. */
  failures: number
}

/** An upstream that fails now and then is told of once in this time. Longer is quieter, and later to say why. */
const everyMs = 10_000
/** Far more than fail at once. */
const troublesMax = 1000

export class UpstreamTroubles {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #troubles = new QuickLRU<string, Trouble>({ maxSize: troublesMax })

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** @param api  whose request it was */
  failed(upstream: UpstreamUrl, error: UpstreamFailed, api: unknown): void {
    const now = this.#clock.monotonic()
    const name = nameOf(upstream)
    const trouble = this.#troubles.get(name) ?? unheardOf()
    this.#troubles.set(name, trouble)
    trouble.failures++
    const isNews = trouble.failingSince === undefined || trouble.saidReason !== error.reason
    if (!isNews || now - trouble.saidAt < everyMs) return
    const { reason } = error
    this.#logger.warn('an upstream fails', {
      ...{ upstream: name, reason, error, api },
      keptBack: trouble.failures - 1,
    })
    trouble.failingSince ??= now
    trouble.saidAt = now
    trouble.saidReason = reason
  }

  /** It gave a whole answer. */
  answered(upstream: UpstreamUrl): void {
    if (this.#troubles.size === 0) return
    const name = nameOf(upstream)
    const trouble = this.#troubles.get(name)
    if (!trouble) return
    const now = this.#clock.monotonic()
    const { failingSince, failures, saidAt } = trouble
    if (failingSince !== undefined) {
      const failingMs = Math.round(now - failingSince)
      this.#logger.warn('an upstream answers again', { upstream: name, failures, failingMs })
      trouble.failingSince = undefined
      trouble.failures = 0
    }
    if (now - saidAt >= everyMs) this.#troubles.delete(name)
  }
}

function unheardOf(): Trouble {
  return { saidAt: Number.NEGATIVE_INFINITY, saidReason: '', failingSince: undefined, failures: 0 }
}

function nameOf({ isGrpc, encrypted, host, port }: UpstreamUrl): string {
  return `${isGrpc ? 'grpc' : 'http'}${encrypted ? 's' : ''}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
