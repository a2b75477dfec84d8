// A client's connection that is read into memory which all such connections share. node:net reads like that for whoever
// asks (`onread`), but only on sockets that one makes oneself, and those of a server it makes. So a socket is made anew
// on what the other stands on. Otherwise each read takes 64 KiB from the system and gives most of them back, and goes
// through a stream, which together is a third of what a small request costs.
import { Socket, type SocketConstructorOpts } from 'node:net'

/** What of a socket is not documented, but has been as it is for as long as there were servers. */
interface Inside {
  _handle: { useUserBuffer?: unknown } | null
  /** It counts its connections by this. */
  _server: unknown
}

export class SharedSocket extends Socket {
  /** Is given what was read, for as long as the call lasts. Without one it is read as from any stream. */
  taker: ((bytes: Buffer) => void) | undefined = undefined

  /**
   * The connection of `socket`, which is of no use afterwards; to be called before anything was read of it.
   * @returns  `socket` itself where that can't be done
   */
  static over(socket: Socket, memory: Buffer): Socket {
    const inside = socket as unknown as Inside
    const { _handle: handle, _server: server } = inside
    if (typeof handle?.useUserBuffer !== 'function') return socket
    const options = { handle, allowHalfOpen: true, onread: { buffer: memory, callback: took } }
    const own = new SharedSocket(options as unknown as SocketConstructorOpts)
    const ownInside = own as unknown as Inside
    ownInside._server = server
    inside._handle = null
    inside._server = null
    return own
  }
}

/** Called on the socket. False: no more, until somebody reads. */
function took(this: SharedSocket, bytes: number, memory: Uint8Array): boolean {
  const read = (memory as Buffer).subarray(0, bytes)
  if (!this.taker) return this.push(Buffer.from(read))
  this.taker(read)
  return true
}
