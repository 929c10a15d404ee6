import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the built page works under any path.
  base: "./",
  build: { target: "es2022" },
});
