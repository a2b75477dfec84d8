import { expect } from 'chai'
import type { JsonObject, Row } from '../../../src/base/json.ts'
import type { AccessTools, Phases, PluginRequest, PluginResponse } from '../../../src/plugins/plugin.ts'
import { type Whereabout, Whereabouts, whereaboutsBytes } from '../../../src/proxy/whereabouts.ts'

const api: Row = { id: 'an-api' }
const request = (target: string) => ({ api, incoming: { method: 'GET', target } }) as unknown as PluginRequest
const tools = {} as AccessTools

describe('the whereabouts of a worker', () => {
  let writer: Whereabouts
  /** On the same memory, as another thread has it. */
  let reader: Whereabouts
  /** What the reader saw while a phase had the thread. */
  let seen: (Whereabout | undefined)[]

  beforeEach(() => {
    const buffer = new SharedArrayBuffer(whereaboutsBytes)
    writer = new Whereabouts(buffer)
    reader = new Whereabouts(buffer)
    seen = []
  })

  const look = (): undefined => void seen.push(reader.read())
  const follow = (plugin: string, phases: Phases) => writer.follow(plugin, () => phases)

  it('are nowhere at first, and then with each plugin, its phase and its request', () => {
    expect(reader.read()).to.equal(undefined)
    const first = follow('first', { access: look, headers: look })
    const second = follow('second', { log: look, certificate: look, stop: look })
    first.access?.(request('/a?secret=1'), {}, tools)
    first.headers?.({} as PluginResponse, {}, request('/b'))
    second.log?.({ api, request: { method: 'PUT', uri: '/c?secret=1' } } as unknown as JsonObject, {})
    second.certificate?.('name.test', {}, tools)
    second.stop?.()
    const at = { inside: true, api: 'an-api' }
    expect(seen).to.deep.equal([
      { ...at, plugin: 'first', phase: 'access', request: 'GET /a' },
      { ...at, plugin: 'first', phase: 'headers', request: 'GET /b' },
      { ...at, plugin: 'second', phase: 'log', request: 'PUT /c' },
      { ...at, plugin: 'second', phase: 'certificate', api: undefined, request: 'TLS name.test' },
      { ...at, plugin: 'second', phase: 'stop', api: undefined, request: undefined },
    ])
  })

  it('tell the last one once it has returned, or thrown', () => {
    const phases = follow('odd', {
      access: () => {
        throw new Error('as asked')
      },
    })
    expect(() => phases.access?.(request('/a'), {}, tools)).to.throw('as asked')
    const left = { inside: false, plugin: 'odd', phase: 'access', api: 'an-api', request: 'GET /a' }
    expect(reader.read()).to.deep.equal(left)
  })

  it('know what opens a plugin, and cut what is too long', () => {
    writer.follow('opening', () => {
      look()
      return {}
    })
    follow('long', { access: look }).access?.(request(`/${'x'.repeat(1000)}`), {}, tools)
    expect(seen[0]).to.include({ plugin: 'opening', phase: 'open', inside: true })
    expect(seen[1]?.request).to.equal(`GET /${'x'.repeat(251)}`)
  })

  it('have only the phases that the plugin has, and hand on what they return', () => {
    expect(Object.keys(follow('bare', {}))).to.deep.equal([])
    const answer = { status: 204 }
    expect(follow('one', { access: () => answer }).access?.(request('/'), {}, tools)).to.equal(answer)
  })
})
