package main

import "fmt"

// part is a command whose output is on the page.
type part struct {
	name    string
	command string // after "go run"
	plots   []plot
}

// parts are in the order in which they are run.
var parts = []part{
	{name: "faults", command: "./mirror -table faults -rounds 3", plots: []plot{{
		file: "fire.svg", title: "Time to answer beside a shadow on fire, as a share of bare, default limits",
		columns: []string{"p50 / bare", "p99 / bare"}, limit: 1.10, log: true}}},
	{name: "unlimited", command: "./mirror -table unlimited -rounds 1"},
	{name: "hung", command: "./mirror -table hung", plots: []plot{
		{file: "hung.svg", title: "MiB held after 4,000 requests of 64 KiB beside a shadow that hangs", columns: []string{"MiB added"}, limit: 80},
		{file: "hung-goroutines.svg", title: "Goroutines added by 4,000 requests beside a shadow that hangs", columns: []string{"goroutines added"}, log: true}}},
	{name: "upload", command: "./mirror -table upload", plots: []plot{{
		file: "upload.svg", title: "An upload of 8 MiB beside a shadow that never reads, as a share of bare",
		columns: []string{"/ bare"}, limit: 1.05}}},
	{name: "events", command: "./mirror -table events", plots: []plot{{
		file: "events.svg", title: "Server-sent events: medians as a share of bare",
		columns: []string{"p50 / bare", "event p50 / bare"}, limit: 1.05}}},
	{name: "steady", command: "./mirror -table steady", plots: []plot{{
		file: "steady.svg", title: "Requests per second with every request copied and compared, as a share of bare and of both handlers",
		columns: []string{"mirrored / bare", "mirrored / both handlers"}, limit: 0.70}}},
	{name: "rates", command: "./mirror -table rates", plots: []plot{{
		file: "rates.svg", title: "Cost of a copy by requests per second, microseconds",
		columns: []string{"µs in ServeHTTP", "µs of processor time"}, log: true}}},
	{name: "routes", command: "./mirror -table routes", plots: []plot{{
		file: "routes.svg", title: "Cost of a copy by number of routes, nanoseconds", columns: []string{"ns", "Adaptive: ns"}}}},
	{name: "loopback", command: "./mirror -table loopback -rounds 3", plots: []plot{{
		file: "loopback.svg", title: "Requests per second over loopback, bare = 1"}}},
	{name: "latency", command: "./mirror -table latency -rounds 3"},
	{name: "cost", command: "./mirror -table cost -rounds 3", plots: []plot{{
		file: "cost.svg", title: "Nanoseconds added to a GET of 1 KiB", columns: []string{"ns", "ns in parallel"}, log: true}}},
	{name: "sampling", command: "./sampling", plots: []plot{{
		file: "sampling.svg", title: "Requests until both broken routes were seen, median", columns: []string{"median"}, log: true}}},
	{name: "speed", command: "./compare -table speed -rounds 3"},
	{name: "exact", command: "./compare -table exact"},
	{name: "soak", command: "-race ./soak -for 1m"},
}

func names() (list []string) {
	for _, p := range parts {
		list = append(list, p.name)
	}
	return list
}

func find(name string) (part, error) {
	for _, p := range parts {
		if p.name == name {
			return p, nil
		}
	}
	return part{}, fmt.Errorf("there is no part %q", name)
}
