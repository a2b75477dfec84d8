// Programs on the ports of a cluster that are no nodes of it.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { parseAddress } from '../../../src/base/address.ts'
import { systemRandom } from '../../../src/base/random.ts'

/** Long enough to be taken for a frame, or for the beginning of one. */
const garbageBytes = 4096

export interface Stranger {
  /** Whom it has met so far. */
  readonly met: number
  leave(): Promise<void>
}

/** Listens where a node did; says nothing, or garbage, to whoever comes. */
export async function listenAt(address: string, says: 'nothing' | 'garbage'): Promise<Stranger> {
  const sockets = new Set<Socket>()
  let met = 0
  const server = createServer((socket) => {
    met++
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    if (says === 'garbage') socket.write(garbage())
  })
  const { host, port } = parseAddress(address) as { host: string; port: number }
  server.listen(port, host)
  await once(server, 'listening')
  return {
    get met() {
      return met
    },
    async leave() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Connects again and again and says garbage: three times of four unlike, else very like, what a node would say. */
export function pester(address: string): Stranger {
  let isLeaving = false
  let met = 0
  const { host, port } = parseAddress(address) as { host: string; port: number }
  const pestering = (async () => {
    while (!isLeaving) {
      const socket = connect(port, host)
      socket.on('error', () => {})
      // The beginning of a TLS record, so that the garbage gets as far as it can.
      socket.write(met % 4 === 0 ? Buffer.concat([Buffer.from('160301', 'hex'), garbage()]) : garbage())
      socket.resume()
      await once(socket, 'close')
      met++
    }
  })()
  return {
    get met() {
      return met
    },
    async leave() {
      isLeaving = true
      await pestering
    },
  }
}

function garbage(): Buffer {
  return Buffer.from(systemRandom.hex(garbageBytes), 'hex')
}
