import { defineConfig } from "vite";

/** Say what is served, for those who see it among other lines. */
const announce = {
  name: "announce",
  configureServer(server) {
    server.printUrls = () => {
      for (const url of server.resolvedUrls?.local ?? []) {
        server.config.logger.info(`  chat page  ${url}`);
      }
    };
  },
};

export default defineConfig({
  // Relative, so that the built page works under any path.
  base: "./",
  build: { target: "es2022" },
  plugins: [announce],
});
