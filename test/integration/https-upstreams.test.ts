// Upstreams that speak TLS, on real sockets.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import https from 'node:https'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { systemRandom } from '../../src/base/random.ts'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import type { KeyPair } from '../../src/plugins/plugin.ts'
import { Trust } from '../../src/proxy/outbound/trust.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'
import { root } from '../support/sources.ts'

describe('HTTPS upstreams', () => {
  const trusting = { trust: new Trust({ authorities: certificate }) }
  let gateway: TestGateway
  let server: https.Server
  /** What each request's connection was told by SNI, and the connections themselves. */
  let names: unknown[]
  let sockets: Set<unknown>

  beforeEach(async () => {
    names = []
    sockets = new Set()
    server = https.createServer(
      { cert: certificate, key: certificateKey },
      ({ socket, headers }, response) => {
        names.push((socket as TLSSocket).servername)
        sockets.add(socket)
        response.end(`told ${headers.host}`)
      },
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    gateway = await new TestGateway().start()
  })

  afterEach(async () => {
    await gateway.stop()
    server.closeAllConnections()
    server.close()
  })

  async function restart(options: TestGatewayOptions): Promise<void> {
    await gateway.stop()
    gateway = await new TestGateway(options).start()
  }

  const port = () => (server.address() as AddressInfo).port
  const addApi = (upstream_url: string, row = {}) =>
    gateway.addApi({ request_host: 'test', upstream_url, ...row })

  it('are verified: a certificate that nobody vouches for is 502, and the log has the reason', async () => {
    const api = addApi(`https://localhost:${port()}`)
    expect((await ask(gateway.port, '/')).status).equal(502)
    expect(names).deep.equal([])
    const { sentence, fields } = gateway.lines[0] as { sentence: string; fields: Record<string, unknown> }
    expect(sentence).equal('an upstream fails')
    expect(fields).include({ api: api.id, reason: 'tls' })
    expect(fields.error).include({ code: 'upstream-invalid' })
    expect(String(fields.error)).match(/the upstream failed: self-signed certificate/)
  })

  it('are told their own name by SNI, whatever Host says, and vouched for by authorities of our own', async () => {
    await restart({ outbound: trusting })
    addApi(`https://localhost:${port()}`, { preserve_host: true })
    expect(await ask(gateway.port, '/')).include({ status: 200, body: 'told test' })
    expect(names).deep.equal(['localhost'])
  })

  it('are vouched for by the system’s authorities and by our own, and by nobody else', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'troop-trust-'))
    const systems = join(dir, 'system.pem')
    const own = newPair()
    await writeFile(systems, certificate)
    const others = [own, newPair()].map((pair) =>
      https.createServer({ cert: pair.certificate, key: pair.key }),
    )
    for (const other of others) await once(other.listen(0, '127.0.0.1'), 'listening')
    const ports = [server, ...others].map((server) => (server.address() as AddressInfo).port)
    const told = await connectElsewhere(systems, own.certificate, ports)
    expect(told).deep.equal(['trusted', 'trusted', 'DEPTH_ZERO_SELF_SIGNED_CERT'])
    for (const other of others) other.close()
    await rm(dir, { recursive: true })
  })

  it('of another name than the certificate’s are 502, unless verification is off', async () => {
    await restart({ outbound: trusting })
    addApi(`https://127.0.0.1:${port()}`)
    expect((await ask(gateway.port, '/')).status).equal(502)
    expect(String(gateway.lines[0]?.fields.error)).match(/does not match certificate's altnames/)
    await restart({ outbound: { trust: new Trust({ verify: false }) } })
    addApi(`https://127.0.0.1:${port()}`)
    expect((await ask(gateway.port, '/')).status).equal(200)
    // An address is no name.
    expect(names).deep.equal([false])
  })

  it('that are none, or that close in the handshake, are 502', async () => {
    const plain = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\n\r\n'))
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    await restart({ outbound: trusting })
    addApi(`https://localhost:${(plain.address() as AddressInfo).port}`)
    expect((await ask(gateway.port, '/')).status).equal(502)
    plain.close()
  })

  it('that never finish the handshake are 504 after the connect timeout', async () => {
    const accepted = new Set<{ destroy(): unknown }>()
    const silent: Server = createServer((socket) => void accepted.add(socket.on('error', () => {})))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    await restart({ outbound: { ...trusting, timeouts: { connectMs: 100 } } })
    addApi(`https://localhost:${(silent.address() as AddressInfo).port}`)
    expect((await ask(gateway.port, '/')).status).equal(504)
    expect(String(gateway.lines[0]?.fields.error)).match(/took no connection within 100 ms/)
    for (const socket of accepted) socket.destroy()
    silent.close()
  })

  it('keep their connection for each name and port, apart from others at the same address', async () => {
    await restart({ outbound: trusting })
    addApi(`https://localhost:${port()}`)
    addApi(`https://LOCALHOST:${port()}`, { request_host: 'other' })
    for (let i = 0; i < 3; i++) {
      for (const host of ['test', 'other']) await ask(gateway.port, '/', { headers: ['Host', host] })
    }
    expect(sockets.size).equal(2)
  })
})

function newPair(): KeyPair {
  return makeSelfSigned({ validFrom: 0, validTo: Date.now() + 1e9, serial: systemRandom.hex(16) })
}

/** What a process whose system trusts the file `systems` makes of connections to these ports. */
async function connectElsewhere(systems: string, authorities: string, ports: number[]): Promise<string[]> {
  const script = `
    import tls from 'node:tls'
    import { Trust } from ${JSON.stringify(join(root, 'src/proxy/outbound/trust.ts'))}
    const { options } = new Trust({ authorities: ${JSON.stringify(authorities)} })
    const ask = (port) => new Promise((resolve) => {
      const socket = tls.connect({ ...options, host: '127.0.0.1', servername: 'localhost', port })
      socket.once('secureConnect', () => resolve('trusted')).once('error', ({ code }) => resolve(code))
      socket.once('secureConnect', () => socket.destroy())
    })
    console.log(JSON.stringify(await Promise.all(${JSON.stringify(ports)}.map(ask))))`
  const env = { ...process.env, SSL_CERT_FILE: systems, SSL_CERT_DIR: '/nowhere' }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env,
  })
  return JSON.parse(stdout)
}
