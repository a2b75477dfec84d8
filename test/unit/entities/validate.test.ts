import { expect } from 'chai'
import fc from 'fast-check'
import type { Json, JsonObject, Row } from '../../../src/base/json.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { api } from '../../../src/entities/api.ts'
import { consumer } from '../../../src/entities/consumer.ts'
import { commonFields, type Field, type Fields } from '../../../src/entities/define.ts'
import { Invalid } from '../../../src/entities/errors.ts'
import { toReply } from '../../../src/entities/reply.ts'
import { type Shape, type Task, validate } from '../../../src/entities/validate.ts'

const id = '4d924084-1adb-40a5-c042-63b19db421d1'
const create: Task = { mode: 'create' }

function check(shape: Shape, input: JsonObject, task: Task = create): Row {
  return validate(shape, input, task, systemRandom)
}

function errorsOf(shape: Shape, input: JsonObject, task: Task = create): unknown {
  try {
    return { accepted: check(shape, input, task) }
  } catch (error) {
    if (error instanceof Invalid) return error.errors
    throw error
  }
}

const one = (field: Field): Shape => ({ fields: { it: field } })
const value = (field: Field, it: Json) => check(one(field), { it }).it
const error = (field: Field, it: Json) => (errorsOf(one(field), { it }) as JsonObject).it

describe('validate', () => {
  describe('coercion', () => {
    it('strips white space around strings', () => {
      expect(value({ type: 'string' }, '  a b\n')).to.equal('a b')
      expect(error({ type: 'string' }, 5)).to.equal('it is not a string')
    })

    it('takes numbers as text, and nothing that is not finite', () => {
      expect(value({ type: 'number' }, '10')).to.equal(10)
      expect(value({ type: 'number' }, ' -1.5e3 ')).to.equal(-1500)
      for (const bad of ['', 'ten', '0x10', '1e999', 'NaN', 'Infinity', true, [], Number.POSITIVE_INFINITY]) {
        expect(error({ type: 'number' }, bad as Json), String(bad)).to.equal('it is not a number')
      }
    })

    it('takes booleans as text in any case', () => {
      expect(value({ type: 'boolean' }, 'True')).to.equal(true)
      expect(value({ type: 'boolean' }, 'FALSE')).to.equal(false)
      for (const bad of ['', 'yes', 1, []]) {
        expect(error({ type: 'boolean' }, bad), String(bad)).to.equal('it is not a boolean')
      }
    })

    it('splits text at commas into a list, each element stripped, and blank text into none', () => {
      expect(value({ type: 'array' }, 'a, b ,c')).to.deep.equal(['a', 'b', 'c'])
      expect(value({ type: 'array' }, '')).to.deep.equal([])
      expect(value({ type: 'array' }, ['a', 1, true])).to.deep.equal(['a', '1', 'true'])
      for (const bad of [5, true, { a: 1 }, [null], [{}]]) {
        expect(error({ type: 'array' }, bad), String(bad)).to.equal('it is not a array')
      }
    })

    it('takes either way to write nothing for a list and for a table', () => {
      expect(value({ type: 'array' }, {})).to.deep.equal([])
      expect(value({ type: 'table' }, [])).to.deep.equal({})
    })

    it('takes tables as they are', () => {
      expect(value({ type: 'table' }, { a: { b: [1] } })).to.deep.equal({ a: { b: [1] } })
      for (const bad of ['', 'a', 5, ['a']])
        expect(error({ type: 'table' }, bad)).to.equal('it is not a table')
    })

    it('takes URLs that have a scheme and a host', () => {
      expect(value({ type: 'url' }, ' http://a.com ')).to.equal('http://a.com')
      const bad = [
        'a.com',
        'http://',
        'http:/a.com',
        'mailto:a@b.c',
        'http://a b.com',
        'http://a\nb',
        'http://a:99999',
        5,
      ]
      for (const text of bad) expect(error({ type: 'url' }, text), String(text)).to.equal('it is not a url')
    })

    it('takes lower-case UUIDs as ids', () => {
      expect(value({ type: 'id' }, id)).to.equal(id)
      for (const bad of [id.toUpperCase(), 'abc', `${id}0`]) {
        expect(error({ type: 'id' }, bad)).to.equal(`${bad} is not a valid uuid`)
      }
      expect(error({ type: 'id' }, 5)).to.equal('5 is not a valid uuid')
    })

    it('is linear in the length of what it refuses', () => {
      const long = '1'.repeat(2_000_000)
      expect(error({ type: 'number' }, `${long}x`)).to.equal('it is not a number')
      expect(error({ type: 'url' }, `http://${long} `.concat('x'))).to.equal('it is not a url')
      expect(errorsOf(api, { request_host: `a.${long}-`, upstream_url: 'http://a.com' })).to.have.keys(
        'request_host',
      )
    })
  })

  describe('the order of checks', () => {
    it('fills in a default before it looks at the value', () => {
      expect(check(one({ type: 'number', default: '5' }), {})).to.deep.equal({ it: 5 })
      expect(check(one({ type: 'number', default: () => 5 }), { it: null })).to.deep.equal({ it: 5 })
    })

    it('names the value and all words of an enum', () => {
      const field: Field = { type: 'string', enum: ['A', 'B'] }
      expect(error(field, 'c')).to.equal('"c" is not allowed. Allowed values are: "A", "B"')
      expect(value(field, 'B')).to.equal('B')
    })

    it('holds an enum against each element of a list [contract 487]', () => {
      const field: Field = { type: 'array', enum: ['exp', 'nbf'] }
      const text = (word: string) => `"${word}" is not allowed. Allowed values are: "exp", "nbf"`
      expect(value(field, 'nbf,exp')).to.deep.equal(['nbf', 'exp'])
      expect(error(field, 'exp,a,b')).to.deep.equal([text('a'), text('b')])
    })

    it('checks a pattern', () => {
      expect(error({ type: 'string', pattern: /^a/ }, 'b')).to.equal('it has an invalid value')
    })

    it('asks a check of its own last, and only of a value that is right so far', () => {
      const asked: Json[] = []
      const field: Field = {
        type: 'number',
        check(given) {
          asked.push(given)
          return Number(given) < 0 ? { error: 'too low' } : { value: Number(given) + 1 }
        },
      }
      expect(error(field, 'x')).to.equal('it is not a number')
      expect(error(field, '-1')).to.equal('too low')
      expect(value(field, '1')).to.equal(2)
      expect(asked).to.deep.equal([-1, 1])
    })

    it('reports everything at once, unknown attributes last', () => {
      const errors = errorsOf(
        { fields: { a: { type: 'string', required: true }, b: { type: 'number' } } },
        { c: 1, b: 'x' },
      )
      expect(Object.entries(errors as object)).to.deep.equal([
        ['a', 'a is required'],
        ['b', 'b is not a number'],
        ['c', 'c is an unknown field'],
      ])
    })

    it('says a thing once, also in a full replacement [contract 487]', () => {
      const errors = errorsOf(api, { id, created_at: 1, request_host: 'a.com' }, { mode: 'replace' })
      expect(errors).to.deep.equal({ upstream_url: 'upstream_url is required' })
    })
  })

  describe('what counts as not given', () => {
    it('null and blank text', () => {
      for (const nothing of [null, '', '  ']) {
        expect(value({ type: 'string' }, nothing)).to.equal(null)
        expect(value({ type: 'string', default: 'd' }, nothing)).to.equal('d')
        expect(error({ type: 'string', required: true }, nothing)).to.equal('it is required')
        expect(value({ type: 'id' }, nothing)).to.equal(null)
      }
      expect(value({ type: 'number' }, null)).to.equal(null)
      expect(error({ type: 'boolean', required: true }, null)).to.equal('it is required')
    })

    it('but not an empty list', () => {
      expect(value({ type: 'array', required: true }, '')).to.deep.equal([])
    })
  })

  describe('nested attributes', () => {
    const limits: Fields = { second: { type: 'number' }, name: { type: 'string', required: true } }
    const config: Field = { type: 'table', fields: { limits: { type: 'table', fields: limits } } }

    it('are named by their dotted path in the key and by their own name in the text [contract 487]', () => {
      expect(errorsOf({ fields: { config } }, { config: { limits: { second: 'x', z: 1 } } })).to.deep.equal({
        'config.limits.second': 'second is not a number',
        'config.limits.name': 'name is required',
        'config.limits.z': 'z is an unknown field',
      })
    })

    it('get their defaults and are required in a table that was not given', () => {
      const fields: Fields = { a: { type: 'number', default: 1 }, b: { type: 'number' } }
      expect(check({ fields: { config: { type: 'table', fields } } }, {})).to.deep.equal({ config: { a: 1 } })
      const required: Fields = { url: { type: 'url', required: true } }
      expect(errorsOf({ fields: { config: { type: 'table', fields: required } } }, {})).to.deep.equal({
        'config.url': 'url is required',
      })
    })

    it('of free keys are checked under each key [contract 487]', () => {
      const free: Shape = { fields: { limits: { type: 'table', each: { minute: { type: 'number' } } } } }
      expect(check(free, { limits: { video: { minute: '5' } } })).to.deep.equal({
        limits: { video: { minute: 5 } },
      })
      expect(errorsOf(free, { limits: { video: { minute: 'x' }, image: 5 } })).to.deep.equal({
        'limits.video.minute': 'minute is not a number',
        'limits.image': 'image is not a table',
      })
    })

    it('decide whether the rule over the whole table is asked', () => {
      const whole: Field = { ...config, fields: { n: { type: 'number' } }, check: () => ({ error: 'whole' }) }
      expect(errorsOf({ fields: { config: whole } }, { config: {} })).to.deep.equal({ config: 'whole' })
      expect(errorsOf({ fields: { config: whole } }, { config: { n: 'x' } })).to.deep.equal({
        'config.n': 'n is not a number',
      })
    })
  })

  describe('a patch', () => {
    const shape: Shape = {
      fields: {
        ...commonFields,
        name: { type: 'string', required: true, immutable: true },
        note: { type: 'string' },
        enabled: { type: 'boolean', default: true },
        config: {
          type: 'table',
          fields: {
            keys: { type: 'array', default: ['k'] },
            hide: { type: 'boolean', default: false },
            add: { type: 'table', fields: { headers: { type: 'array' }, form: { type: 'array' } } },
            free: { type: 'table', each: { n: { type: 'number' } } },
          },
        },
      },
    }
    const current: Row = {
      ...{ id, created_at: 1000, name: 'n', note: 'x', enabled: false },
      config: { keys: ['a'], hide: true, add: { headers: ['h'], form: ['f'] }, free: { a: { n: 1 } } },
    }
    const patch = (input: JsonObject) => check(shape, input, { mode: 'patch', current })

    it('keeps what is not named, defaults or not', () => {
      expect(patch({ note: 'y' })).to.deep.equal({ ...current, note: 'y' })
    })

    it('merges tables of fixed attributes at every level [contract 41]', () => {
      expect(patch({ config: { add: { form: 'g,h' } } }).config).to.deep.equal({
        ...(current.config as JsonObject),
        add: { headers: ['h'], form: ['g', 'h'] },
      })
    })

    it('replaces lists and tables of free keys', () => {
      expect(patch({ config: { keys: [], free: { b: { n: '2' } } } }).config).to.deep.equal({
        ...{ keys: [], hide: true, add: { headers: ['h'], form: ['f'] } },
        free: { b: { n: 2 } },
      })
    })

    it('unsets by null, down to the default where there is one', () => {
      expect(patch({ note: null, enabled: null })).to.deep.equal({ ...current, note: null, enabled: true })
      expect(patch({ config: { keys: null, add: null } }).config).to.deep.equal({
        ...{ keys: ['k'], hide: true, free: { a: { n: 1 } } },
      })
      expect(errorsOf(shape, { name: null }, { mode: 'patch', current })).to.deep.include({
        name: 'name is required',
      })
    })

    it('takes an empty list for an empty table, which changes nothing', () => {
      expect(patch({ config: [] }).config).to.deep.equal(current.config)
    })

    it('refuses another value for what is immutable, and takes the same one', () => {
      expect(patch({ name: 'n' })).to.deep.equal(current)
      expect(errorsOf(shape, { name: 'm' }, { mode: 'patch', current })).to.deep.equal({
        name: 'name cannot be updated',
      })
      expect(errorsOf(shape, { id, name: 'm' }, { mode: 'replace', current })).to.deep.equal({
        name: 'name cannot be updated',
      })
    })

    it('never moves to another id nor another time', () => {
      const other = '00000000-0000-4000-8000-000000000000'
      expect(patch({ id: other, created_at: '5' })).to.deep.equal(current)
      expect(errorsOf(shape, { id: 'x', created_at: 'x' }, { mode: 'patch', current })).to.deep.equal({
        id: 'x is not a valid uuid',
        created_at: 'created_at is not a timestamp',
      })
    })

    it('drops stored attributes that the table does not know any more', () => {
      const old: Row = { ...current, config: { hide: true, gone: 1 } }
      expect(check(shape, { config: { hide: false } }, { mode: 'patch', current: old }).config).to.deep.equal(
        {
          keys: ['k'],
          hide: false,
        },
      )
    })

    it('that blanks the last of several alternatives is told about what it blanked [contract 26, 57]', () => {
      const row: Row = { id, created_at: 0, username: 'bob', custom_id: null }
      const text = "At least a 'custom_id' or a 'username' must be specified"
      const task: Task = { mode: 'patch', current: row }
      expect(errorsOf(consumer, { username: '' }, task)).to.deep.equal({ username: text })
      expect(errorsOf(consumer, { username: '', custom_id: '' }, task)).to.deep.equal({
        username: text,
        custom_id: text,
      })
      expect(check(consumer, { username: '', custom_id: '7' }, task)).to.deep.include({
        username: null,
        custom_id: '7',
      })
    })
  })

  describe('a replacement', () => {
    it('asks for created_at where the entity does, checks it and ignores it [contract 13]', () => {
      const input = { id, request_host: 'a.com', upstream_url: 'http://a.com' }
      expect(errorsOf(api, input, { mode: 'replace' })).to.deep.equal({
        created_at: 'created_at is required',
      })
      expect(errorsOf(api, { ...input, created_at: 'x' }, { mode: 'replace' })).to.deep.equal({
        created_at: 'created_at is not a timestamp',
      })
      expect(check(api, { ...input, created_at: '5' }, { mode: 'replace' })).not.to.have.property(
        'created_at',
      )
      const current: Row = { id, created_at: 1000 }
      expect(check(api, { ...input, created_at: 5 }, { mode: 'replace', current }).created_at).to.equal(1000)
    })

    it('unsets what is not given [contract 51]', () => {
      const current: Row = { id, created_at: 1000, username: 'a', custom_id: 'b' }
      const row = check(consumer, { id, created_at: 1000, username: 'a' }, { mode: 'replace', current })
      expect(row).to.deep.equal({ id, created_at: 1000, username: 'a', custom_id: null })
    })
  })

  describe('hostile input', () => {
    const hostile = JSON.parse(
      '{"__proto__":{"a":1},"constructor":"x","toString":1,"username":"bob"}',
    ) as JsonObject

    it('finds nothing in what objects inherit', () => {
      const errors = errorsOf(consumer, hostile) as object
      expect(Object.entries(errors)).to.deep.equal([
        ['__proto__', '__proto__ is an unknown field'],
        ['constructor', 'constructor is an unknown field'],
        ['toString', 'toString is an unknown field'],
      ])
      expect(({} as { a?: unknown }).a).to.equal(undefined)
    })

    it('keeps odd names where names are free', () => {
      const free: Shape = { fields: { it: { type: 'table', each: { n: { type: 'number' } } } } }
      const input = JSON.parse('{"it":{"__proto__":{"n":1}}}') as JsonObject
      expect(JSON.stringify(check(free, input))).to.equal('{"it":{"__proto__":{"n":1}}}')
    })

    it('is either made into a row or refused as invalid, whatever it is', () => {
      const json = fc.jsonValue() as fc.Arbitrary<Json>
      const names = fc.constantFrom(...Object.keys(api.fields), '__proto__', 'constructor', 'x')
      fc.assert(
        fc.property(
          fc.dictionary(names, json),
          fc.constantFrom('create', 'patch', 'replace'),
          (input, mode) => {
            const row = { id, created_at: 0, name: 'n', request_host: 'a.com', upstream_url: 'http://a.com' }
            const task = mode === 'patch' ? { mode, current: row } : ({ mode } as Task)
            expect(errorsOf(api, input, task as Task)).to.be.an('object')
          },
        ),
      )
    })
  })

  it('accepts what it made itself, unchanged, as a replacement', () => {
    const label = fc.stringMatching(/^[a-z][a-z0-9]{1,9}$/)
    const inputs = fc.record(
      {
        name: fc.stringMatching(/^[\w.~-]{1,20}$/),
        request_host: fc.oneof(
          label.map((a) => `${a}.com`),
          label.map((a) => `*.${a}.org`),
          label.map((a) => `${a}.*`),
        ),
        request_path: fc.array(label, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}/`),
        upstream_url: label.map((a) => ` https://${a}.com/x?y=1 `),
        strip_request_path: fc.constantFrom(true, false, 'True', 'false'),
      },
      { requiredKeys: ['request_host', 'upstream_url'] },
    )
    fc.assert(
      fc.property(inputs, (input) => {
        const row: Row = { ...check(api, input as JsonObject), id, created_at: 1000 }
        const again = check(api, toReply(api, row), { mode: 'replace', current: row })
        expect(again).to.deep.equal(row)
      }),
    )
  })
})
