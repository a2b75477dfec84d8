// Plugins whose services are gone: taken as in 0.8, and harmless.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { galileo } from '../../src/plugins/galileo/galileo.ts'
import { runscope } from '../../src/plugins/runscope/runscope.ts'
import { MemoryStore } from '../../src/testing/memory-store.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { startAdmin } from '../support/admin.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

const plugins = [galileo, runscope]
const least: Record<string, JsonObject> = {
  galileo: { service_token: 'secret' },
  runscope: { bucket_key: 'bucket', access_token: 'secret' },
}

describe('plugins of retired services', () => {
  it('are enabled, and take the configuration that 0.8 took, with its defaults', async () => {
    const admin = await startAdmin(new MemoryStore(), { plugins, logger: silentLogger })
    try {
      expect((await admin.get('/plugins/enabled')).body.enabled_plugins).deep.equal(['galileo', 'runscope'])
      const api = { name: 'a', request_host: 'a.com', upstream_url: 'http://b.com' }
      await admin.json('POST', '/apis', api)
      const made = async (name: string, config: JsonObject) => {
        const { status, body } = await admin.json('POST', '/apis/a/plugins', { name, config })
        return status === 201 ? body.config : body
      }
      expect(await made('galileo', {})).deep.equal({ 'config.service_token': 'service_token is required' })
      expect(await made('galileo', { service_token: 't', queue_size: 'x', log_bodies: 'x' })).deep.equal({
        'config.queue_size': 'queue_size is not a number',
        'config.log_bodies': 'log_bodies is not a boolean',
      })
      expect(await made('galileo', least.galileo as JsonObject)).deep.equal({
        ...{ service_token: 'secret', host: 'collector.galileo.mashape.com', port: 443, https: true },
        ...{ https_verify: false, log_bodies: false, retry_count: 10, connection_timeout: 30 },
        ...{ flush_timeout: 2, queue_size: 1000 },
      })
      expect(await made('runscope', {})).deep.equal({
        'config.bucket_key': 'bucket_key is required',
        'config.access_token': 'access_token is required',
      })
      expect(await made('runscope', least.runscope as JsonObject)).deep.equal({
        ...{ api_endpoint: 'https://api.runscope.com', bucket_key: 'bucket', access_token: 'secret' },
        ...{ timeout: 10_000, keepalive: 30, log_body: false },
      })
    } finally {
      await admin.stop()
    }
  })

  for (const { name } of plugins) {
    it(`${name} lets requests pass and says once that nothing is sent`, async () => {
      const upstream = await new Upstream().start()
      const gateway = await new TestGateway().start()
      const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
      gateway.addPlugin(api, name, least[name] as JsonObject)
      gateway.addPlugin(api, 'recorder')
      for (let i = 0; i < 3; i++) expect((await ask(gateway.port, '/')).status).equal(200)
      await gateway.record(3)
      await gateway.stop()
      await upstream.stop()
      expect(gateway.lines.map(({ sentence }) => sentence)).deep.equal([
        'nothing is sent: the service is retired',
      ])
    })
  }
})
