// Whether passwords are right, as one worker thread finds out: once for each, as it is made to take long.
import QuickLRU from 'quick-lru'
import type { Row } from '../../base/json.ts'
import { Turns } from '../../base/turns.ts'
import { KeyedDigest } from '../keyed-digest.ts'
import { type PluginHost, Refusal } from '../plugin.ts'
import { copyOf } from '../remembered.ts'
import { decoy, isHashed, isOldPassword, isPassword } from './password-hash.ts'
import { Renewal } from './renewal.ts'

/**
 * Hashes that a thread computes at once. They share the four threads by which a whole node reads files and names, so
 * that more would make all of these wait.
 */
const atOnce = 1

/** Requests of a thread that wait for one. The last of them waits some 8 s; more are told to come again. */
const waitersMax = 250

/** Answers that a thread remembers, some 200 bytes each. */
const rememberedMax = 10_000

/** Of a header that showed a name and its password. */
interface Shown {
  readonly username: string
  /** The hash that the password had matched. */
  readonly stored: string
}

export class Passwords {
  /** By a keyed digest of the header. */
  readonly #shown = new QuickLRU<string, Shown>({ maxSize: rememberedMax })
  /** By a keyed digest of what was asked: memory holds no password, and no two questions share an answer. */
  readonly #answers = new QuickLRU<string, boolean>({ maxSize: rememberedMax })
  readonly #asked = new Map<string, Promise<boolean>>()
  readonly #turns = new Turns(atOnce)
  /** Of rows whose hash was read once: it is as long as a request should take. Another row comes with every change. */
  readonly #hashes = new WeakMap<Row, string>()
  readonly #digest: KeyedDigest
  readonly #decoy: string
  readonly #renewal: Renewal

  constructor(host: PluginHost) {
    this.#digest = new KeyedDigest(host.random)
    this.#decoy = decoy(host.random)
    this.#renewal = new Renewal(host, this.#turns)
  }

  /** Whose name and password a header was found to show, if so. It counts for a credential that `stillHas` says so of. */
  shownBy(header: string): Shown | undefined {
    return this.#shown.get(this.#digest.of(header))
  }

  /** Whether the hash of `credential` is the one that was matched. */
  stillHas(credential: Row | null, { stored }: Shown): boolean {
    return credential !== null && this.#hashOf(credential) === stored
  }

  /** `header` shows the name, and the password, of `credential`. */
  wasShown(header: string, username: string, credential: Row): void {
    const stored = this.#hashOf(credential)
    // The name was cut out of a text that has the password.
    if (stored !== undefined) this.#shown.set(this.#digest.of(header), { username: copyOf(username), stored })
  }

  /**
   * Whether `password` is that of `credential`, which was found by `username`. Where there is none, or it has no
   * password, it is not, and that takes as long as for any other.
   *
   * What a row's hash says is part of what is remembered: another password is asked about anew.
   *
   * @throws {Refusal} when too many wait
   */
  isRight(credential: Row | null, username: string, password: string): boolean | Promise<boolean> {
    if (credential && isOldPassword(password, credential.password, String(credential.consumer_id))) {
      this.#renewal.start(credential, password)
      return true
    }
    const stored = (credential && this.#hashOf(credential)) ?? this.#decoy
    // No colon is in a hash, nor in a name: no two questions are spelled alike.
    const question = this.#digest.of(`${stored}:${username}:${password}`)
    return this.#answers.get(question) ?? this.#asked.get(question) ?? this.#ask(question, stored, password)
  }

  /** Resolves when nothing is under way that outlives its request. */
  async stop(): Promise<void> {
    await this.#renewal.stop()
  }

  #ask(question: string, stored: string, password: string): Promise<boolean> {
    if (this.#turns.waiting >= waitersMax) {
      throw new Refusal(503, 'Too many passwords are being checked', { 'Retry-After': '1' })
    }
    const asked = this.#turns
      .take(() => isPassword(password, stored))
      .then((isRight) => {
        this.#answers.set(question, isRight)
        return isRight
      })
      .finally(() => this.#asked.delete(question))
    this.#asked.set(question, asked)
    return asked
  }

  /** Undefined where a row has none that can be matched. */
  #hashOf(credential: Row): string | undefined {
    const known = this.#hashes.get(credential)
    if (known !== undefined) return known
    if (!isHashed(credential.password)) return undefined
    this.#hashes.set(credential, credential.password)
    return credential.password
  }
}
