// What can go wrong between two ends of a connection.
import { TroopError } from '../base/errors.ts'

/** The connection ended before the answer came: whether the call was carried out is not known. */
export class RpcClosed extends TroopError {
  constructor(cause?: unknown) {
    super('rpc-closed', 'the connection is closed', { cause })
  }
}

/** No answer came in time; one that comes later is dropped. */
export class RpcTimeout extends TroopError {
  constructor(method: string, timeoutMs: number) {
    super('rpc-timeout', `no answer to ${method} within ${timeoutMs} ms`)
  }
}

/** Too much is under way on this connection already; nothing was sent. */
export class RpcBusy extends TroopError {
  constructor(what: string) {
    super('rpc-busy', `the connection is busy: ${what}`)
  }
}

/** The other end sent what is not a frame or not a message: the connection is closed. */
export class RpcProtocol extends TroopError {
  constructor(message: string, cause?: unknown) {
    super('rpc-protocol', message, { cause })
  }
}

/** The other end answered with an error, whose code, message and hint these are. */
export class RemoteError extends TroopError {
  constructor({ code, message, hint }: { code: string; message: string; hint?: string | undefined }) {
    super(code, message, hint === undefined ? {} : { hint })
  }
}
