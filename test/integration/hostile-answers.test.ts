// Upstreams that answer with what is no answer, or with more than one: the client must never take it for one, and the
// connection must not carry another request.
import net, { type AddressInfo, type Socket } from 'node:net'
import { expect } from 'chai'
import { TestGateway } from '../support/gateway.ts'
import { ask, exchange } from '../support/raw-http.ts'
import { type HostileAnswer, hostileAnswers } from './hostile/hostile-answers.ts'

const fine = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine'

describe('hostile answers', () => {
  let gateway: TestGateway
  /** What an upstream says to each request, and what it does with its connection then. */
  let answer: (socket: Socket, request: number) => void
  let connections: number
  let requests: number
  let server: net.Server

  before(async () => {
    server = net.createServer((socket) => {
      connections++
      socket.on('error', () => {})
      socket.on('data', () => answer(socket, ++requests))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    gateway = await new TestGateway().start()
    const upstream_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    gateway.addApi({ request_host: 'test', upstream_url })
  })
  after(async () => {
    await gateway.stop()
    await new Promise((resolve) => server.close(resolve))
  })
  beforeEach(() => {
    connections = 0
    requests = 0
  })

  const get = 'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n'

  function firstSays({ bytes, closes }: Pick<HostileAnswer, 'bytes' | 'closes'>): void {
    answer = (socket, request) => {
      if (request > 1) socket.end(fine)
      else if (closes) socket.end(bytes, 'latin1')
      else socket.write(bytes, 'latin1')
    }
  }

  for (const hostile of hostileAnswers) {
    const what = hostile.status === 'cut' ? 'cut, so that it is not taken for whole' : hostile.status
    it(`${hostile.name}: ${what}, and the next request has another connection`, async () => {
      firstSays(hostile)
      const reply = await exchange(gateway.port, get)
      if (hostile.status === 'cut') {
        if (reply !== '')
          expect(reply)
            .not.match(/0\r\n\r\n$/)
            .not.match(/Content-Length: 5/)
      } else expect(reply.match(/HTTP\/1\.1 (?!103)(\d+) /g)).deep.equal([`HTTP/1.1 ${hostile.status} `])
      expect((await ask(gateway.port, '/')).body).equal('fine')
      expect(connections).equal(2)
    })
  }

  it('garbage behind an answer, with it or later, is nobody’s: the next request has another connection', async () => {
    for (const behind of ['garbage', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison']) {
      for (const isLater of [false, true]) {
        connections = 0
        requests = 0
        answer = (socket, request) => {
          if (request > 1) socket.end(fine)
          else if (!isLater) socket.write(fine + behind)
          else socket.write(fine, () => setTimeout(() => socket.write(behind), 20))
        }
        const first = await exchange(gateway.port, get)
        if (first.includes('200 OK')) expect(first).match(/fine$/)
        await new Promise((resolve) => setTimeout(resolve, 50))
        expect((await ask(gateway.port, '/')).body, `${behind} ${isLater}`).equal('fine')
        expect(connections, `${behind} ${isLater}`).equal(2)
      }
    }
  })
})
