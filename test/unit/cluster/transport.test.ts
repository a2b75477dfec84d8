import { expect } from 'chai'
import { systemRandom } from '../../../src/base/random.ts'
import { makeKey, parseKeys } from '../../../src/cluster/transport/keys.ts'
import {
  type Hello,
  hello,
  type Judgement,
  judge,
  sayHello,
} from '../../../src/cluster/transport/transport.ts'

const self = { name: 'a', life: 5, address: { host: '10.0.0.1', port: 7946 } }
const other = { name: 'b', life: 7, address: { host: '10.0.0.2', port: 7946 } }

describe('a hello', () => {
  const judgement: Judgement = { self, cluster: 'here', isFenced: () => false }
  const verdict = (said: Partial<Hello>, differently: Partial<Judgement> = {}) =>
    judge(hello.parse({ ...sayHello(other, 'here', 1), ...said }), { ...judgement, ...differently })?.reason

  it('arrives as it was said', () => {
    expect(hello.parse(JSON.parse(JSON.stringify(sayHello(other, 'here', 3))))).to.deep.include({
      ...other,
      cluster: 'here',
      dial: 3,
    })
    const v6 = { ...other, address: { host: 'fd00::1', port: 1 } }
    expect(hello.parse(sayHello(v6, 'here', 3)).address).to.deep.equal(v6.address)
  })

  it('may hold more than this version knows, and is refused when it lacks something', () => {
    expect(hello.safeParse({ ...sayHello(other, 'here', 1), colour: 'red' }).success).to.equal(true)
    for (const lacking of ['protocol', 'cluster', 'name', 'life', 'address', 'dial']) {
      expect(
        hello.safeParse({ ...sayHello(other, 'here', 1), [lacking]: undefined }).success,
        lacking,
      ).to.equal(false)
    }
    expect(hello.safeParse({ ...sayHello(other, 'here', 1), address: 'nowhere' }).success).to.equal(false)
  })

  it('is welcome from another node of the same datastore', () => {
    expect(verdict({})).to.equal(undefined)
    expect(verdict({}, { expected: { name: 'b' }, connectedLife: 7 })).to.equal(undefined)
    expect(verdict({}, { expected: { name: 'b', life: 6 }, connectedLife: 6 })).to.equal(undefined)
  })

  it('is refused with the reason', () => {
    expect(verdict({ cluster: 'elsewhere' })).to.equal('foreign-datastore')
    expect(verdict({ protocol: { min: 2, max: 9 } })).to.equal('no-common-protocol')
    expect(verdict({}, { self: undefined })).to.equal('not-ready')
    expect(verdict({ name: 'a', life: 5 })).to.equal('self')
    expect(verdict({ name: 'a', life: 6 })).to.equal('name-conflict')
    expect(verdict({}, { expected: { name: 'c' } })).to.equal('unexpected-node')
    expect(verdict({}, { expected: { name: 'b', life: 8 } })).to.equal('fenced-life')
    expect(verdict({}, { connectedLife: 8 })).to.equal('fenced-life')
    expect(verdict({}, { isFenced: ({ name, life }) => name === 'b' && life === 7 })).to.equal('fenced-life')
  })

  it('of an unknown protocol is refused for that, whatever else it says', () => {
    expect(verdict({ protocol: { min: 2, max: 2 }, cluster: 'elsewhere', name: 'a' })).to.equal(
      'no-common-protocol',
    )
  })
})

describe('keys of the traffic between nodes', () => {
  it('are made of 32 bytes, and read back', () => {
    const text = makeKey(systemRandom)
    const [key] = parseKeys([text])
    expect(key.secret.toString('base64')).to.equal(text)
    expect(key.secret).to.have.length(32)
    expect(makeKey(systemRandom)).not.to.equal(text)
  })

  it('keep their order, and have ids by which both ends tell them apart', () => {
    const texts = [makeKey(systemRandom), Buffer.alloc(16, 1).toString('base64')]
    const keys = parseKeys(texts)
    expect(keys.map(({ secret }) => secret.toString('base64'))).to.deep.equal(texts)
    expect(keys[0].id).not.to.equal(keys[1]?.id)
    expect(parseKeys([...texts].reverse())[1]?.id).to.equal(keys[0].id)
  })

  it('are refused when they are none, without showing them', () => {
    const secret = Buffer.from('a secret of twenty by').toString('base64')
    const refused = (texts: string[], text: RegExp) =>
      expect(() => parseKeys(texts))
        .to.throw(text)
        .that.has.property('code', 'key-invalid')
    refused([], /at least one/)
    refused([makeKey(systemRandom), secret], /^key 2: expected 16 or 32 bytes in base64, got 21$/)
    refused(['not base64!'], /^key 1 is not base64$/)
    refused([''], /got 0/)
  })
})
