// Package tally counts results while they come: by route, by what differs, and by cause.
package tally
