// HTTP/2 and gRPC through a whole node: what the settings say, and how it leaves.
import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import type { ClientHttp2Session } from 'node:http2'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { expect } from 'chai'
import type { Upstream } from '../../src/testing/upstream.ts'
import { GrpcClient, GrpcServer } from '../support/grpc-server.ts'
import { askHttp2, connectHttp2 } from '../support/http2-client.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'
import { connectTls } from '../support/raw-http.ts'

describe('HTTP/2 through a node', () => {
  let group: NodeGroup
  let upstream: Upstream
  let node: NodeProcess
  let ca: string

  before(async () => {
    group = await NodeGroup.make()
    upstream = group.upstream
    node = await group.start({ proxy: { http2_streams_max: 7 } })
    ca = await readFile(join(node.dir, 'work', 'ssl', 'troop-default.crt'), 'utf8')
    await node.ask('POST', '/apis', { name: 'x', request_path: '/x', upstream_url: upstream.url })
  })
  after(() => group?.remove())

  /** Some tests end the node. */
  beforeEach(async () => {
    upstream.answer = undefined
    await node.revive()
  })

  /** Requests that the upstream has, and has not answered yet. */
  function held(session: ClientHttp2Session, count: number) {
    const responses: ServerResponse[] = []
    const arrived = Promise.withResolvers<void>()
    upstream.answer = (_request, response) => {
      if (responses.push(response) === count) arrived.resolve()
    }
    const answers = Array.from({ length: count }, () => askHttp2(session, { ':path': '/x' }))
    return { responses, answers, arrived: arrived.promise }
  }

  it('is bounded as the settings say, and counted', async () => {
    const counted = async () =>
      Number(/^troop_requests_multiplexed_total (\d+)$/m.exec((await node.ask('GET', '/metrics')).text)?.[1])
    const before = await counted()
    const session = await connectHttp2(node.tlsPort, ca)
    expect(session.remoteSettings.maxConcurrentStreams).equal(7)
    expect(await askHttp2(session, { ':path': '/x' })).include({ status: 200 })
    expect(await counted()).equal(before + 1)
    session.destroy()
  })

  it('calls a gRPC server of which the Admin API was told, and asks for keys', async () => {
    const server = await new GrpcServer().start()
    const client = new GrpcClient(node.tlsPort, ca)
    const api = { name: 'grpc', request_path: '/test.Echo', upstream_url: `grpc://127.0.0.1:${server.port}` }
    expect((await node.ask('POST', '/apis', api)).status).equal(201)
    expect(await client.one('one', 'hello')).include({ message: 'hello', code: status.OK })
    await node.ask('POST', '/apis/grpc/plugins', { name: 'key-auth' })
    expect(await client.one('one', 'hello')).include({ code: status.UNAUTHENTICATED })
    await node.ask('POST', '/consumers', { username: 'jan' })
    await node.ask('POST', '/consumers/jan/key-auth', { key: 'right' })
    expect(await client.one('one', 'hello', { apikey: 'right' })).include({ message: 'hello' })
    client.close()
    server.stop()
  })

  it('is not offered where it is switched off', async () => {
    const plain = await group.start({ proxy: { http2: false } })
    const ca = await readFile(join(plain.dir, 'work', 'ssl', 'troop-default.crt'), 'utf8')
    const socket = await connectTls(plain.tlsPort, { ALPNProtocols: ['h2', 'http/1.1'], ca })
    expect(socket.alpnProtocol).equal('http/1.1')
    socket.destroy()
  })

  it('outlives a reload, and quit waits for its requests', async () => {
    const session = await connectHttp2(node.tlsPort, ca)
    const { responses, answers, arrived } = held(session, 3)
    await arrived
    node.signal('SIGHUP')
    await node.logged(/"msg":"reloaded"/)
    const goodbye = new Promise<void>((resolve) => session.once('goaway', () => resolve()))
    node.signal('SIGQUIT')
    await goodbye
    for (const response of responses) response.end('after all')
    for (const answer of await Promise.all(answers))
      expect(answer).include({ status: 200, body: 'after all' })
    expect(await node.ended()).equal(0)
  })

  it('is ended by stop', async () => {
    const session = await connectHttp2(node.tlsPort, ca)
    const { answers, arrived } = held(session, 1)
    await arrived
    node.signal('SIGTERM')
    expect((await Promise.all(answers))[0]).include({ status: 0 })
    expect(await node.ended()).equal(0)
  })
})
