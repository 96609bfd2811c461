package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// entry is what an access log knows of one request.
type entry struct {
	Method string
	Target string // path and query, as they were sent
	Status int    // of the answer
}

// logLine matches the Common Log Format, and the Combined one, which adds the
// referrer and the user agent. A quote inside quotes is escaped by a backslash.
var logLine = regexp.MustCompile(`^\S+ \S+ \S+ \[[^\]]*\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?$`)

// parseAccessLog reads a log in Common or Combined Log Format. The error names
// the first line that is not.
func parseAccessLog(r io.Reader) ([]entry, error) {
	var entries []entry
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if lines.Text() == "" {
			continue
		}
		e, err := parseLogLine(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("access log, line %d: %w", n, err)
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

func parseLogLine(line string) (entry, error) {
	m := logLine.FindStringSubmatch(line)
	if m == nil {
		return entry{}, fmt.Errorf("not in Common Log Format: %q", line)
	}
	request := strings.Split(m[1], " ")
	if len(request) != 3 || !strings.HasPrefix(request[1], "/") {
		return entry{}, fmt.Errorf("not a request line: %q", m[1])
	}
	status, err := strconv.Atoi(m[2])
	if err != nil {
		return entry{}, err
	}
	return entry{Method: request[0], Target: request[1], Status: status}, nil
}
