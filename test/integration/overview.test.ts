// Over real HTTP: the overview of a local cluster lives on what its nodes answer, and on that some do not.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { Overview, type Watched } from '../../src/dev/overview.ts'

describe('the overview of a local cluster', () => {
  let servers: Server[]
  /** What all that run say of the members. */
  let data: object[]
  let asked: number[]
  /** The number of one that can't answer. */
  let failing: number

  beforeEach(() => {
    servers = []
    asked = []
    failing = 0
    data = [member('a', 5), member('b', 5)]
  })
  afterEach(() => Promise.all(servers.map(stop)))

  const member = (name: string, applied: number, propagation = {}, status = 'alive') => {
    return { name, address: '127.0.0.1:7946', status, applied, lag: 0, freshness: 1, propagation }
  }
  const stop = (server: Server) =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  async function nodeOf(number: number, name: string): Promise<Watched> {
    const server = createServer((_, response) => {
      asked.push(number)
      response.statusCode = number === failing ? 503 : 200
      response.end(JSON.stringify({ head: 5, digest: '', data, total: data.length }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push(server)
    const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { number, admin, proxy: '', pid: async () => 100 + number, name: async () => name }
  }
  const look = (overview: Overview) => overview.look(new AbortController().signal)

  it('asks the first that answers, and that one again', async () => {
    const overview = new Overview([await nodeOf(1, 'a'), await nodeOf(2, 'b')])
    const seen = (await look(overview)).map(({ number, pid, status }) => ({ number, pid, status }))
    expect(seen).to.deep.equal([
      { number: 1, pid: 101, status: 'alive' },
      { number: 2, pid: 102, status: 'alive' },
    ])
    failing = 1
    await look(overview)
    failing = 0
    await look(overview)
    expect(asked).to.deep.equal([1, 1, 2, 2])
    await Promise.all(servers.map(stop))
    const unknown = { pid: 102, status: undefined, applied: null, lag: null }
    expect((await look(overview))[1]).to.deep.include(unknown)
  })

  it('tells the newest change of each, by the way whose time has changed', async () => {
    const overview = new Overview([await nodeOf(1, 'a'), await nodeOf(2, 'b')])
    const changes = async () =>
      (await look(overview)).map(({ change }) => change && `${change.path} ${change.tookMs}`)
    data = [member('a', 5, { push: 3 }), member('b', 5, {})]
    // What was before it looked is not its to tell.
    expect(await changes()).to.deep.equal([undefined, undefined])
    data = [member('a', 6, { push: 3, notify: 9 }), member('b', 5)]
    expect(await changes()).to.deep.equal(['notify 9', undefined])
    data = [member('a', 7, { push: 2, notify: 9 }), member('b', 7, { write: 1 })]
    expect(await changes()).to.deep.equal(['push 2', 'write 1'])
    expect(await changes()).to.deep.equal(['push 2', 'write 1'])
  })
})
