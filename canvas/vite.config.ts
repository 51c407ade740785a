import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** `npm run dev` talks to a server that runs already; TRUEBEAT_URL says where. */
const server = process.env.TRUEBEAT_URL ?? "http://127.0.0.1:8700";
const proxied = [
  "/workspaces",
  "/events",
  "/incidents",
  "/tasks",
  "/session",
  "/delegations",
  "/notifications",
];

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/truebeat/server/canvas_dist",
    emptyOutDir: true,
    // the policy of the page allows no inline anything
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(
      proxied.map((path) => [path, { target: server, ws: true, changeOrigin: true }]),
    ),
  },
});
