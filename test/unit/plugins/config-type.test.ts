import { expect } from 'chai'
import { definePlugin } from '../../../src/plugins/plugin.ts'

describe('the configuration that a phase is given', () => {
  it('has the types of its table: sure where there is a default or a duty, absent where there is neither', () => {
    const plugin = definePlugin({
      name: 'typed',
      config: {
        word: { type: 'string', required: true },
        count: { type: 'number', default: 1 },
        maybe: { type: 'string' },
        how: { type: 'string', enum: ['fast', 'slow'], default: 'fast' },
        many: { type: 'array', default: () => ['x'] },
        odd: { type: 'number', default: ({ values }) => (values.word === 'x' ? 1 : undefined) },
        deep: { type: 'table', required: true, fields: { on: { type: 'boolean', default: true } } },
        free: { type: 'table', required: true, each: { second: { type: 'number' } } },
      },
      phases: {
        access(_request, config) {
          const sure: [string, number, readonly string[], boolean] = [
            config.word,
            config.count,
            config.many,
            config.deep.on,
          ]
          const how: 'fast' | 'slow' = config.how
          const free: number | undefined = config.free.any?.second
          // @ts-expect-error: it may be absent
          const maybe: string = config.maybe
          // @ts-expect-error: its default may be none
          const odd: number = config.odd
          // @ts-expect-error: there is none of that name
          const none = config.wrod
          // @ts-expect-error: that is none of its words
          const wrong: boolean = config.how === 'fats'
          return { status: 200, body: [sure, how, free, maybe, odd, none, wrong] }
        },
      },
    })
    const given = {
      word: 'w',
      count: 1,
      how: 'slow',
      many: [],
      deep: { on: true },
      free: { any: { second: 2 } },
    }
    // biome-ignore lint/suspicious/noExplicitAny: nothing of a request is looked at
    const answer = plugin.open({} as any).access?.({} as any, given, {} as any)
    expect(answer).to.deep.include({ status: 200 })
  })

  it('is any JSON where the table is not written at its place', () => {
    const table: Record<string, { type: 'string' }> = { word: { type: 'string' } }
    const plugin = definePlugin({
      name: 'untyped',
      config: table,
      phases: { access: (_request, config) => ({ status: 200, body: String(config.word) }) },
    })
    expect(plugin.config).to.equal(table)
  })
})
