// The protocols of delivery and of filling caches, searched through in every order of their steps: no claim breaks, and
// every mistake that the models know is found, so that the search is worth something. docs/model.md explains.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { requireProgram } from '../support/program.ts'
import { root } from '../support/sources.ts'

/** Mistakes by model, each with the bounds that make its search short. */
const mistakes = {
  delivery: {
    'acknowledges before it applies': ['ACKNOWLEDGE_EARLY'],
    'waits only for members that the writer has met': ['BY_MEMBERSHIP'],
    'counts acknowledgements of another life': ['COUNT_FENCED'],
    'does not wait for one that was forced out and may serve still': ['FORGET_FORCED'],
    'jumps to the head before it loads': ['JUMP_FIRST', 'WITHOUT_FORCE'],
    'serves under its registration after a load, unseen': ['KEEP_LEASE'],
    'loads before it registers': ['LOAD_BEFORE_REGISTERING', 'WITHOUT_FORCE', 'WITHOUT_LOSS'],
    'compares positions without digests': ['ONLY_POSITIONS', 'WITHOUT_FORCE'],
    'takes a name that another may serve under still': ['TAKE_AT_ONCE'],
  },
  fill: {
    'acknowledges before it applies': ['ACKNOWLEDGE_EARLY'],
    'jumps to the head before it loads': ['JUMP_FIRST'],
    'keeps its entries when it changes histories': ['KEEP_ENTRIES'],
    'lets loads of the history that was left land': ['KEEP_FLIGHTS'],
    'does not raise the floor of a load by an event': ['KEEP_FLOOR_ON_EVENT'],
    'does not raise the floor of a load by a purge': ['KEEP_FLOOR_ON_PURGE'],
    'looks up without taking the messages that were posted': ['NO_DRAIN'],
    'compares positions without digests': ['ONLY_POSITIONS'],
    'lets an event overwrite a newer fill': ['OVERWRITE_NEWER'],
    'keeps what is below the floor': ['SKIP_FLOOR'],
    'asks for the head in a statement of its own': ['STAMP_APART'],
  },
}

/** What is searched: the bounds of the pages, or in `npm test` those that take seconds. */
const bounds = {
  delivery: process.env.MODEL_FULL ? ['WRITES=2'] : [],
  fill: process.env.MODEL_FULL ? ['LAST=3'] : ['LAST=2'],
}

type Model = keyof typeof mistakes

describe('the models', function () {
  this.timeout(process.env.MODEL_FULL ? 3_600_000 : 300_000)

  before(function () {
    for (const program of ['spin', 'gcc']) requireProgram(this, program)
  })

  for (const model of Object.keys(mistakes) as Model[]) {
    it(`of ${model} keeps its claims in every order of its steps`, () => {
      const { errors, states, output } = search(model, bounds[model], '-O1')
      expect(errors, output).to.equal(0)
      process.stdout.write(`${model}: ${states.toLocaleString('en')} states, no error\n`)
    })

    for (const [mistake, defines] of Object.entries(mistakes[model])) {
      it(`of ${model} shows what goes wrong when a node ${mistake}`, () => {
        const { errors, output } = search(model, [...defines, ...(model === 'fill' ? ['LAST=2'] : [])], '-O0')
        expect(errors, output).to.equal(1)
        expect(output).to.match(/assertion violated/)
      })
    }
  }
})

/** Has spin write the search, compiles it and runs it to its end, or to the first error. */
function search(model: Model, defines: readonly string[], optimisation: '-O0' | '-O1') {
  const directory = mkdtempSync(join(tmpdir(), 'troop-model-'))
  try {
    const source = join(root, 'test', 'model', `${model}.pml`)
    const run = (program: string, args: readonly string[]) =>
      execFileSync(program, args, { cwd: directory, encoding: 'utf8', maxBuffer: 1 << 26 })
    run('spin', ['-a', ...defines.map((define) => `-D${define}`), source])
    // Assertions and dead ends, and no cycles; states are kept whole, so none is taken for another.
    run('gcc', [optimisation, '-w', '-DSAFETY', '-o', 'pan', 'pan.c'])
    const output = run('./pan', ['-m200000', '-w22'])
    const [, errors] = /errors: (\d+)/.exec(output) ?? []
    const [, states] = /(\d+) states, stored/.exec(output) ?? []
    expect(output).not.to.match(/max search depth too small/)
    return { errors: Number(errors), states: Number(states), output }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
