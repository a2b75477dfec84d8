// Whether a node's ports are free. Workers share theirs by SO_REUSEPORT, under which a second node on the same
// port would be accepted silently and get half of the connections: so each port is first bound for us alone.
import { createServer } from 'node:net'
import { type Address, formatAddress } from '../base/address.ts'
import { codeOf } from '../base/errors.ts'
import { PortTaken } from './errors.ts'

/**
 * @param listeners  by the name of their setting
 * @throws {PortTaken} naming setting and address, for the first that can't be bound
 */
export async function requireFreePorts(listeners: Readonly<Record<string, Address>>): Promise<void> {
  for (const [setting, address] of Object.entries(listeners)) {
    try {
      await bindOnce(address)
    } catch (error) {
      throw new PortTaken(setting, formatAddress(address), codeOf(error) ?? 'unknown', error)
    }
  }
}

function bindOnce({ host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()))
  })
}

/** How many threads may listen on one port, of as many as are wanted: one, where the platform lets no more. */
export async function listenersOnOnePort(wanted: number, canReuse = canReusePort): Promise<number> {
  return wanted === 1 || (await canReuse()) ? wanted : 1
}

/** Whether several threads may listen on one port here: Linux, the BSDs and a few more have SO_REUSEPORT. */
function canReusePort(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port: 0, reusePort: true }, () => server.close(() => resolve(true)))
  })
}
