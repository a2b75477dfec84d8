// Chance, passed in like the clock: a simulation replays exactly from one seed.
import { randomBytes, randomUUID } from 'node:crypto'

export interface Random {
  /** A version 4 UUID in lower case (RFC 9562). */
  uuid(): string
  /** `bytes` random bytes, as lower-case hex of twice that length. */
  hex(bytes: number): string
  /** A number in [0, 1), for jitter; not for secrets. */
  fraction(): number
}

export const systemRandom: Random = {
  uuid: () => randomUUID(),
  hex: (bytes) => randomBytes(bytes).toString('hex'),
  fraction: () => Math.random(),
}
