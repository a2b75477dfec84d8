// Puts passwords that 0.8 hashed by SHA-1 into today's form, when they are used: only then they are known.
import type { Row } from '../../base/json.ts'
import type { Turns } from '../../base/turns.ts'
import type { PluginHost } from '../plugin.ts'
import { basicauthCredential } from './credential.ts'
import { hashPassword } from './password-hash.ts'

/** After one that failed, so that a datastore that can't be written to is not asked at each request. */
const pauseMs = 10_000

/** One at a time: it waits for nobody, and the next use of another one is time enough. */
export class Renewal {
  readonly #host: PluginHost
  readonly #turns: Turns
  #running: Promise<void> | undefined
  #pausedUntil = Number.NEGATIVE_INFINITY

  constructor(host: PluginHost, turns: Turns) {
    this.#host = host
    this.#turns = turns
  }

  /** @param password  the right one */
  start(credential: Row, password: string): void {
    if (this.#running || this.#turns.waiting > 0) return
    const { clock, logger } = this.#host
    if (clock.monotonic() < this.#pausedUntil) return
    this.#running = this.#renew(credential, password)
      .catch((error) => {
        this.#pausedUntil = clock.monotonic() + pauseMs
        logger.warn('a password stays hashed by SHA-1 for now', { credential: credential.id, error })
      })
      .finally(() => {
        this.#running = undefined
      })
  }

  async stop(): Promise<void> {
    await this.#running
  }

  /** Changes the row only as long as it is as it was: another password, or another thread, may have come first. */
  async #renew({ id, password: old }: Row, password: string): Promise<void> {
    const { random, writer } = this.#host
    const hashed = await this.#turns.take(() => hashPassword(password, random))
    await writer.update(basicauthCredential, { id: String(id), password: String(old) }, { password: hashed })
  }
}
