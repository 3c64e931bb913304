export { startFleet } from './fleet.ts'
export { runTool } from './tool.ts'
