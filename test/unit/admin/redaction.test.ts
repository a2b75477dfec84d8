// What people see of events: all but what is secret, and nothing of what this node does not know.
import { expect } from 'chai'
import type { LoggedEvent } from '../../../src/admin/log-view.ts'
import { PluginShapes } from '../../../src/admin/plugin-shapes.ts'
import { Redaction } from '../../../src/admin/redaction.ts'
import type { Json, JsonObject, Row } from '../../../src/base/json.ts'
import { api } from '../../../src/entities/api.ts'
import { commonFields, defineEntity, type Field, type Fields } from '../../../src/entities/define.ts'
import { coreEntities } from '../../../src/entities/entities.ts'
import { definePlugin, type Plugin } from '../../../src/plugins/plugin.ts'
import { shippedPlugins } from '../../../src/plugins/plugins.ts'

const id = '3c1a5c3e-2d5b-4a53-9d0e-1f7c7b6f0a11'
const apiId = '0f7b1e5a-8a25-4c1f-9b16-4b2f0d3c9e22'

/** Secrets of every type, at every depth. */
const vault = definePlugin({
  name: 'vault',
  phases: {},
  config: {
    url: { type: 'url' },
    token: { type: 'string', secret: true },
    keys: { type: 'array', secret: true },
    pin: { type: 'number', secret: true },
    whole: { type: 'table', secret: true },
    login: {
      type: 'table',
      fields: { user: { type: 'string' }, password: { type: 'string', secret: true } },
    },
    hosts: { type: 'table', each: { port: { type: 'number' }, secret: { type: 'string', secret: true } } },
    free: { type: 'table' },
  },
  entities: [
    defineEntity({
      name: 'vault_credentials',
      fields: { ...commonFields, name: { type: 'string' }, secret: { type: 'string', secret: true } },
      lookups: [],
      version: 3,
    }),
  ],
})

const plugins: readonly Plugin[] = [...shippedPlugins, vault]
const entities = [...coreEntities, ...plugins.flatMap((plugin) => plugin.entities)]
const redaction = new Redaction(entities, new PluginShapes(plugins))

const event = (entity: string, images: Partial<LoggedEvent>): LoggedEvent => ({
  ...{ position: 8, first: 7, digest: 'd', at: 1000, entity, actor: 'psql', schema: 1 },
  operation: images.old ? (images.new ? 'update' : 'delete') : 'create',
  ...images,
})
const shown = (entity: string, row: Row, schema = 1) =>
  redaction.show(event(entity, { new: row, schema })).new as JsonObject

describe('an event, as people see it', () => {
  it('says where, when, what and who', () => {
    const row = { id, name: 'a', request_path: null, upstream_url: 'http://a', preserve_host: false }
    expect(redaction.show(event('apis', { new: row }))).to.deep.equal({
      ...{ position: 8, first: 7, at: 1000, entity: 'apis', operation: 'create', actor: 'psql', schema: 1 },
      old: null,
      new: { id, name: 'a', upstream_url: 'http://a', preserve_host: false },
    })
    const genesis = { ...event('log', { operation: 'genesis' }), actor: undefined } as unknown as LoggedEvent
    expect(redaction.show(genesis)).to.include({ actor: null, old: null, new: null })
  })

  it('names the columns that an update changed, secret or not', () => {
    const changed = (old: Row, row: Row, entity = 'keyauth_credentials') =>
      redaction.show(event(entity, { old, new: row }))
    const before = { id, key: 'first', consumer_id: apiId }
    expect(changed(before, { ...before, key: 'second' })).to.deep.include({
      changed: ['key'],
      old: { id, consumer_id: apiId, key: '******' },
      new: { id, consumer_id: apiId, key: '******' },
    })
    expect(changed(before, before).changed).to.deep.equal([])
    expect(changed({ id, config: { a: [1] } }, { id, config: { a: [2] } }, 'plugins').changed).to.deep.equal([
      'config',
    ])
    expect(changed({ id, a: 1, b: null }, { id, a: 1, c: null }, 'unknown').changed).to.deep.equal(['b', 'c'])
    expect(redaction.show(event('apis', { new: before }))).not.to.have.property('changed')
  })

  it('has no secret of any entity or plugin, wherever in it and of whatever type', () => {
    const rows = [
      ...entities
        .filter(({ name }) => name !== 'plugins')
        .map(({ name, fields }) => ({ name, row: sampleOf(fields) })),
      ...plugins.map(({ name, config }) => ({
        name: 'plugins',
        row: { id, api_id: apiId, name, config: sampleOf(config), enabled: true },
      })),
    ]
    const secret = rows.filter(({ row }) => hasSecret(JSON.stringify(row))).map(({ name }) => name)
    expect(secret).to.include.members(['keyauth_credentials', 'vault_credentials', 'plugins'])
    for (const { name: entity, row } of rows) {
      for (const images of [{ new: row }, { old: row, new: row }, { old: row }]) {
        const text = JSON.stringify(redaction.show(event(entity, images)))
        expect(hasSecret(text), text).to.equal(false)
        expect(text.includes('******'), text).to.equal(hasSecret(JSON.stringify(row)))
      }
    }
  })

  it('shows what surrounds a secret', () => {
    const config = sampleOf(vault.config)
    const { config: seen } = shown('plugins', { id, name: 'vault', config })
    expect(seen).to.deep.equal({
      ...{ url: 'plain', token: '******', keys: '******', pin: '******', whole: '******', free: 'plain' },
      login: { user: 'plain', password: '******' },
      hosts: { one: { port: 'plain', secret: '******' } },
    })
  })

  it('has names alone of what is not as its table says', () => {
    const config = { token: null, login: ['pass'], hosts: { one: 'pass' }, more: 'pass', url: 'http://a' }
    expect(shown('plugins', { id, name: 'vault', config }).config).to.deep.equal({
      ...{ url: 'http://a', login: '******', hosts: { one: '******' }, more: '******' },
    })
    expect(shown('apis', { id, name: 'a', added: null })).to.deep.equal({ id, name: 'a', added: '******' })
  })

  it('has names and the id alone of a plugin, an entity or a version that this node does not know', () => {
    expect(
      shown('plugins', { id, api_id: apiId, name: 'other', config: { a: 'pass', b: {} } }),
    ).to.deep.equal({
      ...{ id, api_id: apiId, name: 'other', config: { a: '******', b: '******' } },
    })
    expect(shown('others', { id, secret: 'pass', more: null })).to.deep.equal({
      ...{ id, secret: '******', more: '******' },
    })
    expect(shown('others', { id: 'pass', pass: true })).to.deep.equal({ id: '******', pass: '******' })
    expect(shown('vault_credentials', { id, name: 'a', secret: 'pass' }, 3).name).to.equal('a')
    expect(shown('vault_credentials', { id, name: 'a', secret: 'pass' }, 4)).to.deep.equal({
      ...{ id, name: '******', secret: '******' },
    })
    expect(shown(api.name, { id, name: 'a' }, 2).name).to.equal('******')
  })

  it('shows a node by what says who and where it is, a registration with the life that it begins', () => {
    const row = {
      ...{ name: 'gw-1', cluster_listening_address: '10.0.0.1:7946', status: 'alive', life: null },
      ...{ applied: 3, last_seen: '2026-01-01T00:00:00+00:00', ttl_on_failure: 3600, version: '0.1.0' },
    }
    const node = { name: 'gw-1', address: '10.0.0.1:7946', status: 'alive', life: 8 }
    expect(shown('nodes', row)).to.deep.equal(node)
    const left = redaction.show(
      event('nodes', { old: { ...row, life: 5 }, new: { ...row, life: 5, status: 'left' } }),
    )
    expect(left).to.deep.include({
      changed: ['status'],
      old: { ...node, life: 5 },
      new: { ...node, life: 5, status: 'left' },
    })
    expect(shown('nodes', row, 2)).to.include({ name: '******', cluster_listening_address: '******' })
  })
})

/** A row, or part of one, with everything in it. */
function sampleOf(fields: Fields): { readonly [name: string]: Json } {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, sampleValue(field)]))
}

function sampleValue(field: Field): Json {
  const { type, secret, fields, each } = field
  if (secret)
    return { number: 987654321, array: ['pass', 'pass'], table: { pass: 'pass' } }[type as 'number'] ?? 'pass'
  if (fields) return sampleOf(fields)
  if (each) return { one: sampleOf(each) }
  return type === 'id' ? id : 'plain'
}

function hasSecret(text: string): boolean {
  return /"pass"|987654321/.test(text)
}
