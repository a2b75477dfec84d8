// The TLS listener of a whole node: its certificate, and what a reload makes of another one.
import { readFile, writeFile } from 'node:fs/promises'
import https from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import type { KeyPair } from '../../src/plugins/plugin.ts'
import type { Upstream } from '../../src/testing/upstream.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'
import { ask, connectTls } from '../support/raw-http.ts'

describe('the TLS listener of a node', () => {
  let group: NodeGroup
  let upstream: Upstream
  let node: NodeProcess

  const prepare = async (settings: JsonObject) => {
    group = await NodeGroup.make()
    upstream = group.upstream
    node = await NodeProcess.prepare(group.database, { workers: 2, ...settings })
    group.nodes.push(node)
  }
  const launch = async () => {
    await node.launch()
    await node.ask('POST', '/apis', { name: 'test', request_path: '/', upstream_url: upstream.url })
  }

  const newPair = (serial: string) =>
    makeSelfSigned({ validFrom: 0, validTo: Date.now() + 1e9, serial: serial.repeat(16) })

  /** Writes the pair to two files in the directory of the node. */
  async function write({ certificate, key }: KeyPair): Promise<void> {
    await writeFile(join(node.dir, 'c.pem'), certificate)
    await writeFile(join(node.dir, 'k.pem'), key)
  }

  /** The serial numbers that ten new connections are shown: they meet both workers. */
  async function shown(servername = 'localhost'): Promise<string[]> {
    const serials = new Set<string>()
    for (let i = 0; i < 10; i++) {
      const socket = await connectTls(node.tlsPort, { servername, rejectUnauthorized: false })
      serials.add(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    }
    return [...serials]
  }

  async function reloadUntil(line: RegExp): Promise<void> {
    const { length } = node.output
    node.signal('SIGHUP')
    await until(() => line.test(node.output.slice(length)))
  }

  describe('with a certificate that the node made', () => {
    before(async () => {
      await prepare({ admin_api_ssl_listen: '127.0.0.1:0' })
      await launch()
    })
    after(() => group?.remove())
    /** Each test begins with the node as it was started. */
    afterEach(async () => {
      await node.configure({})
      await node.revive()
      await reloadUntil(/"msg":"reloaded"/)
    })

    it('shows the certificate that the node made at its first start, and the same after a restart [contract 93]', async () => {
      expect(node.output).to.match(new RegExp(`proxy_listen_ssl\\.+127\\.0\\.0\\.1:${node.tlsPort}`))
      const ca = await readFile(join(node.dir, 'work', 'ssl', 'troop-default.crt'), 'utf8')
      const socket = await connectTls(node.tlsPort, { ca })
      expect({ ...socket.getPeerCertificate().subject }).to.deep.equal({
        C: 'US',
        ST: 'California',
        L: 'San Francisco',
        O: 'Troop',
        OU: 'IT Department',
        CN: 'localhost',
      })
      socket.destroy()
      const { body } = await ask(node.tlsPort, '/', { tls: { ca } })
      expect(JSON.parse(body).headers).to.include({ 'x-forwarded-proto': 'https' })
      const before = await shown()
      node.signal('SIGTERM')
      await node.ended()
      await node.launch()
      expect(await shown()).to.deep.equal(before)
    })

    it('shows an API’s own certificate in all workers from the write on, until it is changed or gone', async () => {
      const [first, second] = [newPair('11'), newPair('22')]
      const own = await shown('a.test')
      const wildcard = { name: 'a', request_host: '*.test', upstream_url: upstream.url }
      await node.ask('POST', '/apis', wildcard)
      const config = (pair: KeyPair) => ({ config: { cert: pair.certificate, key: pair.key } })
      const { body } = await node.ask('POST', '/apis/a/plugins', { name: 'ssl', ...config(first) })
      expect(await shown('a.test')).to.deep.equal([`01${'11'.repeat(16)}`])
      await node.ask('PATCH', `/apis/a/plugins/${body.id}`, config(second))
      expect(await shown('a.test')).to.deep.equal([`01${'22'.repeat(16)}`])
      expect(await shown()).to.deep.equal(own)
      await node.ask('DELETE', '/apis/a')
      expect(await shown('a.test')).to.deep.equal(own)
    })

    it('shows on its Admin API the same certificate, until a reload finds one that is for that alone', async () => {
      const own = await readFile(join(node.dir, 'work/ssl/troop-default.crt'), 'utf8')
      const host = ['Host', `localhost:${node.adminTlsPort}`]
      const get = (target: string, ca: string) =>
        ask(node.adminTlsPort, target, { headers: host, tls: { ca } })
      expect((await get('/apis', own)).status).to.equal(200)
      const pair = newPair('33')
      await write(pair)
      await node.configure({
        admin_api_ssl_cert_path: join(node.dir, 'c.pem'),
        admin_api_ssl_key_path: join(node.dir, 'k.pem'),
      })
      await reloadUntil(/"admin_api_ssl_cert_path","admin_api_ssl_key_path".*"msg":"reloaded"/)
      const { body } = await get('/', pair.certificate)
      expect(JSON.parse(body).configuration).to.include({ admin_api_ssl_listen: '127.0.0.1:0' })
      expect(await get('/', own).catch((error) => error.code)).to.equal('DEPTH_ZERO_SELF_SIGNED_CERT')
      expect(new Set(await shown()).has(`01${'33'.repeat(16)}`)).to.equal(false)
      // The files alone change: the settings stay as they are.
      const renewed = newPair('44')
      await write(renewed)
      await reloadUntil(/"applied":\["admin_api_ssl_cert_path","admin_api_ssl_key_path"\].*"msg":"reloaded"/)
      expect((await get('/apis', renewed.certificate)).status).to.equal(200)
    })

    it('trusts the authorities of HTTPS upstreams that a reload names, also when only the file has changed', async () => {
      const secure = https.createServer({ cert: certificate, key: certificateKey }, (_request, response) => {
        response.end('fine')
      })
      await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
      const { port } = secure.address() as AddressInfo
      await node.ask('POST', '/apis', {
        name: 'secure',
        request_path: '/secure',
        upstream_url: `https://localhost:${port}`,
      })
      const statuses = async () => {
        const answers = await Promise.all(
          Array.from({ length: 10 }, () => node.call('/secure', { headers: { connection: 'close' } })),
        )
        return [...new Set(answers.map(({ status }) => status))]
      }
      expect(await statuses()).to.deep.equal([502])
      await node.logged(/self-signed certificate/)
      const path = join(node.dir, 'ca.pem')
      await writeFile(path, newPair('33').certificate)
      await node.configure({ proxy: { upstream_certificate_authority: path } })
      await reloadUntil(/"msg":"reloaded"/)
      expect(await statuses()).to.deep.equal([502])
      await writeFile(path, certificate)
      await reloadUntil(/"applied":\["proxy\.upstream_certificate_authority"\].*"msg":"reloaded"/)
      expect(await statuses()).to.deep.equal([200])
      await writeFile(path, 'hello')
      await reloadUntil(
        /proxy\.upstream_certificate_authority: \S+ca\.pem holds no certificate in PEM.*reload refused/,
      )
      expect(await statuses()).to.deep.equal([200])
      await node.configure({ proxy: { upstream_verify: false } })
      await reloadUntil(/"msg":"reloaded"/)
      expect(await statuses()).to.deep.equal([200])
      secure.closeAllConnections()
      secure.close()
    })
  })

  describe('with a certificate from files', () => {
    before(async () => {
      await prepare({})
      await write(newPair('00'))
      await node.configure(files())
      await launch()
    })
    after(() => group?.remove())

    const files = (): JsonObject => ({
      ssl_cert_path: join(node.dir, 'c.pem'),
      ssl_key_path: join(node.dir, 'k.pem'),
    })
    /** Each test begins with a pair of its own. */
    const use = async (pair: KeyPair) => {
      await write(pair)
      await reloadUntil(/"msg":"reloaded"/)
    }

    it('shows a changed certificate after a reload, under traffic, and no connection is dropped', async () => {
      const [first, second] = [newPair('11'), newPair('22')]
      await use(first)
      expect(await shown()).to.deep.equal([`01${'11'.repeat(16)}`])
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
      const sockets = new Set<TLSSocket>()
      agent.on('free', (socket: TLSSocket) => sockets.add(socket))
      let ending = false
      const traffic = (async () => {
        // Some of them after the reload, however quickly that went.
        for (let after = 0; after < 3; ) {
          if (ending) after++
          expect((await ask(node.tlsPort, '/', { agent, tls: { ca: first.certificate } })).status).to.equal(
            200,
          )
        }
      })()
      await write(second)
      await reloadUntil(/"applied":\["ssl_cert_path","ssl_key_path"\].*"msg":"reloaded"/)
      expect(await shown()).to.deep.equal([`01${'22'.repeat(16)}`])
      ending = true
      await traffic
      agent.destroy()
      expect(sockets.size).to.equal(1)
    })

    it('keeps its certificate when a reload finds a bad pair, and names file and reason', async () => {
      const pair = newPair('11')
      await use(pair)
      await write({ ...pair, key: newPair('22').key })
      await reloadUntil(
        /ssl_key_path: \S+k\.pem is not the key of the certificate in \S+c\.pem.*reload refused/,
      )
      await write({ ...pair, certificate: 'hello' })
      await reloadUntil(/ssl_cert_path: \S+c\.pem holds no certificate in PEM.*reload refused/)
      expect(await shown()).to.deep.equal([`01${'11'.repeat(16)}`])
    })

    it('keeps a node with a bad pair, or without its port, from starting', async () => {
      await write({ ...newPair('11'), key: newPair('22').key })
      const other = await NodeProcess.prepare(group.database, files())
      group.nodes.push(other)
      const failed = await other.launch().catch((error: Error) => error.message)
      expect(failed).to.match(/ssl_key_path: \S+k\.pem is not the key of the certificate/)
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
      await other.configure({ proxy_listen_ssl: address, ssl_cert_path: '', ssl_key_path: '' })
      const taken = await other.launch().catch((error: Error) => error.message)
      expect(taken).to.include(`proxy_listen_ssl: ${address} is in use by another program`)
      server.close()
    })
  })
})
