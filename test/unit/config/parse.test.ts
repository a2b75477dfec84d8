import { expect } from 'chai'
import { nearest, parseEnvironment, parseFile, parseSetting } from '../../../src/config/parse.ts'
import type { Setting } from '../../../src/config/settings.ts'

const places = { home: '/home/me', cwd: '/srv' }
const common = { help: '', reload: false }

describe('parsing a setting', () => {
  const parse = (setting: Partial<Setting>, raw: unknown, from: 'file' | 'environment' = 'file') =>
    parseSetting({ ...common, ...setting } as Setting, raw, from, places)

  it('reads durations with their unit and no others', () => {
    const duration = { type: 'duration', minimum: '0ms' } as const
    for (const [text, value] of [
      ['250ms', 250],
      ['1s', 1000],
      ['1.5m', 90_000],
      ['2h', 7_200_000],
    ]) {
      expect(parse(duration, text)).to.deep.equal({ value })
    }
    for (const wrong of ['1', 1, '1 day', '-1s', '', 's', '999h']) {
      expect(parse(duration, wrong), String(wrong)).to.have.property('reason')
    }
  })

  it('reads addresses of names, IPv4 and IPv6, and refuses ports out of range', () => {
    const address = { type: 'address' } as const
    expect(parse(address, 'localhost:80')).to.deep.equal({ value: { host: 'localhost', port: 80 } })
    expect(parse(address, '[::1]:80')).to.deep.equal({ value: { host: '::1', port: 80 } })
    for (const wrong of ['localhost', ':80', '1.2.3.4:65536', '::1:80', 'a b:1']) {
      expect(parse(address, wrong), wrong).to.have.property('reason')
    }
    expect(parse({ type: 'ip-address' }, '   ')).to.deep.equal({ value: undefined })
  })

  it('takes paths from the home directory or the current one', () => {
    const path = { type: 'path' } as const
    expect(parse(path, '~/x')).to.deep.equal({ value: '/home/me/x' })
    expect(parse(path, 'x/')).to.deep.equal({ value: '/srv/x' })
    expect(parse(path, '/x')).to.deep.equal({ value: '/x' })
  })

  it('refuses numbers that are none, in the environment too', () => {
    const number = { type: 'number', minimum: 0, maximum: 10, whole: true } as const
    expect(parse(number, '7', 'environment')).to.deep.equal({ value: 7 })
    for (const wrong of ['', '0x7', '1e1', 'NaN', '1.5', '-1', '11']) {
      expect(parse(number, wrong, 'environment'), wrong).to.have.property('reason')
    }
    expect(parse(number, Number.NaN)).to.have.property('reason')
  })

  it('reads a list of the environment at its commas', () => {
    expect(parse({ type: 'list' }, ' a, b ,', 'environment')).to.deep.equal({ value: ['a', 'b'] })
  })
})

describe('parsing a file', () => {
  it('finds a setting under its dotted name and under its tables', () => {
    const { given } = parseFile('postgres: {host: a}\n"cluster.profile": wan\n', 'f')
    expect(given.map(({ name, place }) => `${name} ${place}`)).to.deep.equal([
      'postgres.host f:1',
      'cluster.profile f:2',
    ])
  })

  it('refuses what is not a map, and a key that is given twice', () => {
    for (const text of ['- a', 'just text', 'workers: 1\nworkers: 2']) {
      expect(() => parseFile(text, 'f'), text).to.throw('Could not parse configuration at: f')
    }
    expect(parseFile('', 'f').given).to.deep.equal([])
  })
})

describe('parsing the environment', () => {
  it('ignores variables that are not ours or are empty', () => {
    const reading = parseEnvironment({
      HOME: '/x',
      TROOP_WORKERS: '',
      TROOP_CONFIG: 'a.yml',
      XTROOP_WORKERS: '1',
    })
    expect(reading).to.deep.equal({ given: [], faults: [] })
  })
})

describe('the nearest name', () => {
  it('is the one with the fewest edits, or none when all are far', () => {
    expect(nearest('proxy_listen_sll', ['proxy_listen', 'proxy_listen_ssl'])).to.equal('proxy_listen_ssl')
    expect(nearest('completely_different', ['workers', 'database'])).to.equal(undefined)
  })
})
