// Package sdktest tests what a mirror tells OpenTelemetry: with the real SDK, real
// instrumentation on both sides of it, and the real Prometheus exporter. It is a module
// of its own, so that none of them is a dependency of the library.
package sdktest
