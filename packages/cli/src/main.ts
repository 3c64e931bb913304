// The tool as an image's command, for Jobs on Kubernetes: dist/main.js provision --replicas 3.
import { runTool } from './tool.ts'

await runTool(process.argv)
