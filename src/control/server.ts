// The node's side of control: a loopback listener that carries out commands for whoever holds the token.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Address } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { RpcConnection } from '../rpc/rpc.ts'
import { answerBytesMax, type ControlMethods, forcedLeave, hello, verifyOrder } from './control.ts'
import { ControlRefused, ControlUnknown } from './errors.ts'
import { sameToken } from './token.ts'

export interface ControlServerOptions {
  /** Port 0 lets the system choose; the server's `address` tells which. */
  readonly listen: Address
  readonly token: string
  readonly methods: ControlMethods
  readonly logger: Logger
  readonly clock: Clock
}

export interface ControlServer {
  /** As bound. */
  readonly address: Address
  /** Stops listening, sends the answers that are ready, and closes all connections. */
  stop(): Promise<void>
}

/** Commands at once: a person and their scripts. Beyond it connections are closed unread. */
const connectionsMax = 32
/** Who has not shown the token by then never will. */
const helloTimeoutMs = 5000

/**
 * Listens for commands.
 * @throws what the system says when the address can't be bound, e.g. code `EADDRINUSE`
 */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const connections = new Set<RpcConnection>()
  const server = createServer((socket) => {
    const connection = serve(socket, options)
    connections.add(connection)
    void connection.closed.then((error) => {
      connections.delete(connection)
      if (error) options.logger.debug('control connection lost', { error })
    })
  })
  server.maxConnections = connectionsMax
  await listen(server, options.listen)
  const { address: host, port } = server.address() as AddressInfo
  return {
    address: { host, port },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      await Promise.all([...connections].map((connection) => connection.stop()))
      await closed
    },
  }
}

/** One connection: hello with the token first, then commands. */
function serve(socket: Socket, { token, methods, logger, clock }: ControlServerOptions): RpcConnection {
  const commands = new Map<string, (params: unknown) => unknown>([
    ['status', () => methods.status()],
    ['reload', () => methods.reload()],
    ['stop', () => methods.stop()],
    ['quit', () => methods.quit()],
    ['positions', () => methods.positions()],
    ['reachability', () => methods.reachability()],
    ['verify', async (params) => Object.fromEntries(await methods.verify(verifyOrder.parse(params).limitMs))],
    ['forceLeave', (params) => methods.forceLeave(forcedLeave.parse(params))],
  ])
  let welcome = false
  const connection = new RpcConnection(socket.setNoDelay(true), {
    clock,
    // Nothing that a command line sends is longer; a stranger can't make the node hold more than this.
    frameBytesMax: 64 << 10,
    answerBytesMax,
    handle: (method, params) => {
      if (!welcome) {
        welcome = isWelcome(method, params, token)
        if (welcome) return {}
        logger.warn('control connection refused: it did not show the token')
        // After the answer is on its way.
        queueMicrotask(() => void connection.stop())
        throw new ControlRefused('the control token is wrong')
      }
      const command = commands.get(method)
      if (!command) throw new ControlUnknown(method)
      return command(params)
    },
  })
  const timer = clock.after(helloTimeoutMs, () => {
    if (!welcome) void connection.stop()
  })
  void connection.closed.then(() => timer.cancel())
  return connection
}

function isWelcome(method: string, params: unknown, token: string): boolean {
  const said = hello.safeParse(params)
  return method === 'hello' && said.success && sameToken(said.data.token, token)
}

function listen(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
