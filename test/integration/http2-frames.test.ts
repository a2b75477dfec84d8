// HTTP/2 frame by frame: what a well-behaved client can't say, and what takes more than it should.
import { expect } from 'chai'
import { Counters } from '../../src/proxy/counters.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import {
  endHeaders,
  endStream,
  FrameClient,
  fields,
  frame,
  int32,
  plain,
  request,
  types,
} from '../support/http2-frames.ts'
import { until } from '../support/log.ts'

/** RFC 9113, 7. */
const protocolError = 1
const internalError = 2
const flowControlError = 3
const frameSizeError = 6
const cancel = 8
const calm = 11

describe('HTTP/2 by frames', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let client: FrameClient

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    client = await FrameClient.connect(gateway.tlsPort)
  })

  afterEach(async () => {
    client.close()
    await gateway.stop()
    await upstream.stop()
  })

  const refusals = () => new Counters(gateway.counters).refusals
  const head = (raw: readonly string[]) => frame('headers', endStream | endHeaders, 1, fields(raw))
  const upload = (...more: string[]) =>
    frame('headers', endHeaders, 1, fields([':method', 'POST', ...plain.slice(2), ...more]))
  const without = (name: string, ...instead: string[]) => {
    const at = plain.indexOf(name)
    return [...plain.slice(0, at), ...instead, ...plain.slice(at + 2)]
  }

  async function expectAlive(): Promise<void> {
    client.send(request(101))
    expect(await client.fate(101)).equal('answered')
    expect(upstream.requests).equal(1)
  }

  describe('a head that is not as it has to be resets its stream, and no other', () => {
    const heads: Record<string, readonly string[]> = {
      'a name in upper case': [...plain, 'X-Up', '1'],
      Connection: [...plain, 'connection', 'close'],
      'Keep-Alive': [...plain, 'keep-alive', 'timeout=5'],
      'Proxy-Connection': [...plain, 'proxy-connection', 'keep-alive'],
      Upgrade: [...plain, 'upgrade', 'websocket'],
      'Transfer-Encoding': [...plain, 'transfer-encoding', 'chunked'],
      'TE of anything but trailers': [...plain, 'te', 'gzip'],
      'no :path': without(':path'),
      'an empty :path': without(':path', ':path', ''),
      'a :path that is none': without(':path', ':path', 'x'),
      'a :path with a blank': without(':path', ':path', '/a b'),
      'a :path with a line of its own': without(':path', ':path', '/ HTTP/1.1\r\nX: y'),
      'no :scheme': without(':scheme'),
      'no :method': without(':method'),
      'a :method that is none': without(':method', ':method', 'G T'),
      ':method twice': [':method', 'GET', ...plain],
      'no host at all': without(':authority'),
      'a user in :authority': without(':authority', ':authority', 'a@test'),
      'a pseudo-header field after others': [...without(':authority'), 'x', 'y', ':authority', 'test'],
      'one that nobody knows': [...plain, ':x', 'y'],
      'one of answers': [...plain, ':status', '200'],
      'a protocol to go on with': [':method', 'CONNECT', ':protocol', 'websocket', ...plain.slice(2)],
      'a length that is none': [...plain, 'content-length', '+3'],
      'a length twice': [...plain, 'content-length', '0', 'content-length', '0'],
      'a length and no body': [...plain, 'content-length', '3'],
    }
    for (const [what, raw] of Object.entries(heads)) {
      it(what, async () => {
        client.send(head(raw))
        expect(await client.fate(1)).equal(`reset ${protocolError}`)
        await expectAlive()
      })
    }

    it('far more fields than may be', async () => {
      client.send(request(1, Array.from({ length: 600 }, (_, i) => [`x${i}`, 'y']).flat()))
      expect(await client.fate(1)).equal(`reset ${calm}`)
      await expectAlive()
    })
  })

  describe('a head that HTTP/1.1 would refuse is refused for the same reason, and the connection goes on', () => {
    const heads: Record<string, [reason: keyof ReturnType<typeof refusals>, raw: readonly string[]]> = {
      'a fragment': ['target', without(':path', ':path', '/a#b')],
      'another scheme': ['target', without(':scheme', ':scheme', 'ftp')],
      'a target in absolute form': [
        'target',
        [':method', 'GET', ':scheme', 'ftp', ':path', 'http://test/', ':authority', 'test'],
      ],
      'a host that is none': ['host', without(':authority', ':authority', 'test:123456')],
      'two hosts': ['host', [...plain, 'host', 'other']],
      CONNECT: ['method', [':method', 'CONNECT', ':authority', 'test:443']],
      TRACE: ['method', without(':method', ':method', 'TRACE')],
      'a long path': ['long-line', without(':path', ':path', `/${'a'.repeat(9000)}`)],
      'more fields than may be': [
        'large-head',
        [...plain, ...Array.from({ length: 300 }, (_, i) => [`x${i}`, 'y']).flat()],
      ],
      'an expectation that nobody knows': ['expectation', [...plain, 'expect', 'more']],
    }
    for (const [what, [reason, raw]] of Object.entries(heads)) {
      it(what, async () => {
        client.send(head(raw))
        expect(await client.fate(1)).equal('answered')
        expect(refusals()[reason]).equal(1)
        await expectAlive()
      })
    }
  })

  it('the same host twice is one host', async () => {
    client.send(head([...plain, 'host', 'TEST']))
    expect(await client.fate(1)).equal('answered')
    expect(upstream.seen[0]?.headers).include({ 'x-forwarded-host': 'test' })
  })

  it('host stands in for :authority', async () => {
    client.send(head([...without(':authority'), 'host', 'test']))
    expect(await client.fate(1)).equal('answered')
    expect(upstream.requests).equal(1)
  })

  it('a field that is none goes nowhere', async () => {
    const wrong = ['x a', '1', 'x:b', '1', '', '1', 'x-c', 'a\r\nx-d: e', 'x-f', 'a\0b', 'x-g', '1']
    client.send(request(1, wrong))
    expect(await client.fate(1)).equal('answered')
    const names = upstream.seen[0]?.rawHeaders.filter((name, i) => i % 2 === 0 && /^(x-?.$|x|$)/.test(name))
    expect(names).deep.equal(['x-g'])
  })

  describe('a body that is not as its head says is never taken for a whole one', () => {
    const complete: boolean[] = []

    beforeEach(() => {
      complete.length = 0
      upstream.answer = (request, response) => {
        request.resume().on('close', () => complete.push(request.complete))
        request.on('end', () => response.end('x'))
      }
    })

    it('too short', async () => {
      client.send(upload('content-length', '5'), frame('data', endStream, 1, Buffer.from('abc')))
      expect(await client.fate(1)).equal(`reset ${protocolError}`)
      await until(() => upstream.requests === complete.length)
      expect(complete).not.include(true)
    })

    it('too long', async () => {
      client.send(upload('content-length', '3'), frame('data', endStream, 1, Buffer.from('abcdef')))
      expect(await client.fate(1)).equal(`goaway ${internalError}`)
      await until(() => upstream.requests === complete.length)
      expect(complete).not.include(true)
    })

    it('with pseudo-header fields behind it', async () => {
      client.send(upload(), frame('data', 0, 1, Buffer.from('abc')), head([':path', '/']))
      expect(await client.fate(1)).equal(`reset ${protocolError}`)
      await until(() => upstream.requests === complete.length)
      expect(complete).not.include(true)
    })

    it('reset within', async () => {
      client.send(upload(), frame('data', 0, 1, Buffer.from('abc')))
      await until(() => upstream.requests === 1)
      client.send(frame('reset', 0, 1, int32(cancel)))
      await until(() => complete.length === 1)
      expect(complete).deep.equal([false])
    })
  })

  it('an answer without a length that breaks off is not ended before it is reset', async () => {
    upstream.answer = (_request, response) => response.write('some', () => response.destroy())
    client.send(request(1))
    expect(await client.fate(1)).equal(`reset ${internalError}`)
    expect(client.frames.filter(({ type }) => type === types.data).map(({ flags }) => flags)).deep.equal([0])
  })

  it('nor is one with a length', async () => {
    upstream.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Length': '10' })
      response.write('some', () => response.destroy())
    }
    client.send(request(1))
    expect(await client.fate(1)).equal(`reset ${internalError}`)
  })

  it('an answer that is small goes as two frames', async () => {
    upstream.answer = (_request, response) => response.end('some')
    client.send(request(1))
    expect(await client.fate(1)).equal('answered')
    expect(client.frames.filter(({ stream }) => stream === 1).map(({ type }) => type)).deep.equal([
      types.headers,
      types.data,
    ])
  })

  describe('what is against the rules of a connection ends it', () => {
    const broken: Record<string, [frames: Buffer[], fate: string]> = {
      'no frame': [[Buffer.alloc(100, 0xff)], `goaway ${frameSizeError}`],
      'a frame that is too large': [[frame('data', 0, 1, Buffer.alloc(20_000))], `goaway ${frameSizeError}`],
      'a body for no request': [[frame('data', 0, 1, Buffer.from('x'))], `goaway ${protocolError}`],
      'a request with the number of an answer': [[request(2)], `goaway ${protocolError}`],
      'a window that is too large': [
        [upload(), frame('windowUpdate', 0, 1, int32(2 ** 31 - 1))],
        `goaway ${flowControlError}`,
      ],
      'more requests at once than it may have': [
        Array.from({ length: 300 }, (_, i) =>
          frame('headers', endHeaders, 1 + 2 * i, fields([':method', 'POST', ...plain.slice(2)])),
        ),
        `goaway ${protocolError}`,
      ],
    }
    for (const [what, [frames, fate]] of Object.entries(broken)) {
      it(what, async () => {
        client.send(...frames)
        expect(await client.fate(1)).equal(fate)
        await until(() => refusals().http2 === 1)
        await until(() => new Counters(gateway.counters).get('active') === 0)
      })
    }
  })

  describe('a flood ends its connection', () => {
    const many = (n: number, make: (i: number) => Buffer) => Array.from({ length: n }, (_, i) => make(i))
    const floods: Record<string, Buffer[]> = {
      'of requests that are taken back at once': many(3000, (i) =>
        Buffer.concat([request(1 + 2 * i), frame('reset', 0, 1 + 2 * i, int32(cancel))]),
      ),
      'of frames that go on with a head': [
        frame('headers', endStream, 1, fields(plain)),
        ...many(20, (i) => frame('continuation', 0, 1, fields([`x${i}`, 'y']))),
      ],
      'of pings': many(5000, () => frame('ping', 0, 0, Buffer.alloc(8))),
      'of settings': many(5000, () => frame('settings', 0, 0)),
      'of pieces of a body that have nothing in them': [upload(), ...many(500, () => frame('data', 0, 1))],
    }
    for (const [what, frames] of Object.entries(floods)) {
      it(what, async () => {
        client.send(...frames)
        await client.until(({ type }) => type === types.goaway)
        await until(() => refusals()['http2-flood'] === 1)
        await until(() => new Counters(gateway.counters).get('active') === 0)
        expect(upstream.requests).lessThan(1100)
        expect(gateway.lines.map(({ fields: { reason } }) => reason)).include('http2-flood')
      })
    }

    it('and what was taken back with its request does not go upstream', async () => {
      const taken = many(50, (i) =>
        Buffer.concat([request(1 + 2 * i), frame('reset', 0, 1 + 2 * i, int32(cancel))]),
      )
      client.send(...taken)
      await expectAlive()
    })
  })

  it('a client that half closes has gone', async () => {
    upstream.answer = () => {}
    client.send(request(1))
    await until(() => upstream.requests === 1)
    client.end()
    await until(() => new Counters(gateway.counters).get('active') === 0)
  })
})
