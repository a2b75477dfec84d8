// The side that clients connect to. Whoever parses their bytes hands each request to a Handler with a Reply;
// nothing else of the proxy knows how either is made.
import type { Duplex } from 'node:stream'
import type { Address } from '../../base/address.ts'
import type { Headers } from '../headers.ts'
import type { Answer, Incoming } from '../request.ts'

/** Takes one request; must not throw. What it can't do now it does later, by `reply`. */
export type Handler = (incoming: Incoming, reply: Reply) => void

/** The way back to the client of one request. After it closed, all its methods do nothing. */
export interface Reply {
  /** Who is told what happens from now on. Set before anything else. */
  watcher: ReplyWatcher
  /** False once the client is gone or the reply is complete. */
  readonly open: boolean
  /** Bytes of head and body so far, as put on the wire. */
  readonly bytesSent: number
  /**
   * Sends a head that comes before the answer's (1xx), if the client can take one now; it is never waited for.
   */
  inform(status: number, headers: Headers): void
  /**
   * Sends status line and headers. Without Content-Length the body is framed as the client can read it.
   * @param reason   undefined for the usual phrase
   * @param headers  without hop-by-hop ones; not changed any more
   * @throws {RangeError} for what can be no status; then nothing was sent
   */
  head(status: number, reason: string | undefined, headers: Headers): void
  /** Sends a piece of the body, not changed by the caller afterwards; false asks to wait for `drained`. */
  write(chunk: Uint8Array): boolean
  /** @param trailers  names and values in turn, dropped where the framing has no place for them */
  end(trailers?: readonly string[]): void
  /**
   * Agrees to the protocol that the request asks for (101), and hands over the connection: what is said on it from now
   * on is no business of the reply, which closes with it.
   * @returns  undefined for a request that asked for none, or whose client is gone
   */
  switchTo(protocol: string, headers: Headers): Duplex | undefined
  /** Breaks off, so that the client can't take what it has for complete. */
  cut(): void
}

export interface ReplyWatcher {
  /** After `write` returned false: there is room again. */
  drained(): void
  /**
   * The rest of the request will not come, or can't be read: it must not be completed. `answer` is what the client is
   * to be told, if it can still be told anything.
   */
  spoiled(answer: Answer): void
  /** Once, at the end. `complete` is false when the client did not get all of the reply. */
  closed(complete: boolean): void
}

export const nobody: ReplyWatcher = { drained() {}, spoiled() {}, closed() {} }

export interface Inbound {
  /** Opens the port; resolves with the address that it really has. @throws {ListenFailed} */
  start(listen: Address): Promise<Address>
  /** Accepts nothing new, lets open requests finish, and resolves when all are done. */
  drain(): Promise<void>
  /** As `drain`, but open requests get a short grace and are then cut. */
  stop(): Promise<void>
}
