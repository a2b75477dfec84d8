export { ScriptedCatalog } from '../../src/testing/scripted-catalog.ts'
