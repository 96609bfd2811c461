package main

import (
	"cmp"
	"embed"
	"encoding/csv"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// data holds the airports, the countries and the access log; data/README.md
// says where they come from.
//
//go:embed data/*.csv data/access.log
var data embed.FS

type airport struct {
	Code      string // IATA, three capital letters
	Name      string
	City      string
	Country   string // ISO 3166-1 alpha-2
	Latitude  float64
	Longitude float64
	Elevation *int // feet above sea level; nil where nobody knows
}

type country struct {
	Code      string
	Name      string
	Continent string
}

// store is the database that v1 and v2 have in common. It is read only and safe
// for concurrent use. Every method but queries costs one round trip.
type store struct {
	airports  []airport // in order of code
	countries []country // in order of code
	roundTrip time.Duration
	asked     atomic.Int64
}

// openStore reads airports.csv and countries.csv. A query takes roundTrip, as
// it would with a database on another machine; 0 answers at once.
func openStore(fsys fs.FS, roundTrip time.Duration) (*store, error) {
	s := &store{roundTrip: roundTrip}

	rows, err := readCSV(fsys, "data/airports.csv", 7)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		a, err := parseAirport(row)
		if err != nil {
			return nil, err
		}
		s.airports = append(s.airports, a)
	}

	rows, err = readCSV(fsys, "data/countries.csv", 3)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		s.countries = append(s.countries, country{Code: row[0], Name: row[1], Continent: row[2]})
	}
	return s, nil
}

// readCSV returns the rows under the heading.
func readCSV(fsys fs.FS, name string, columns int) ([][]string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	r := csv.NewReader(f)
	r.FieldsPerRecord = columns
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: empty", name)
	}
	return rows[1:], nil
}

func parseAirport(row []string) (airport, error) {
	a := airport{Code: row[0], Name: row[1], City: row[2], Country: row[3]}
	var err error
	if a.Latitude, err = strconv.ParseFloat(row[4], 64); err != nil {
		return a, fmt.Errorf("airport %s: latitude: %w", a.Code, err)
	}
	if a.Longitude, err = strconv.ParseFloat(row[5], 64); err != nil {
		return a, fmt.Errorf("airport %s: longitude: %w", a.Code, err)
	}
	if row[6] != "" {
		feet, err := strconv.Atoi(row[6])
		if err != nil {
			return a, fmt.Errorf("airport %s: elevation: %w", a.Code, err)
		}
		a.Elevation = &feet
	}
	return a, nil
}

func (s *store) query() {
	s.asked.Add(1)
	time.Sleep(s.roundTrip)
}

// queries is how many have been made so far.
func (s *store) queries() int64 { return s.asked.Load() }

// airport finds one by its code, in capitals or not.
func (s *store) airport(code string) (airport, bool) {
	s.query()
	i, found := slices.BinarySearchFunc(s.airports, strings.ToUpper(code), func(a airport, code string) int {
		return cmp.Compare(a.Code, code)
	})
	if !found {
		return airport{}, false
	}
	return s.airports[i], true
}

// airportsIn returns those of a country, of the whole world for "", in order of code.
func (s *store) airportsIn(country string) []airport {
	s.query()
	return s.where(func(a airport) bool { return country == "" || a.Country == strings.ToUpper(country) })
}

// search returns those with text in the name or the city, in order of code.
func (s *store) search(text string) []airport {
	s.query()
	text = strings.ToLower(text)
	return s.where(func(a airport) bool {
		return strings.Contains(strings.ToLower(a.Name), text) || strings.Contains(strings.ToLower(a.City), text)
	})
}

// nearest returns the n next to origin, without it, the closest first.
func (s *store) nearest(origin airport, n int) []airport {
	s.query()
	others := s.where(func(a airport) bool { return a.Code != origin.Code })
	km := make(map[string]float64, len(others))
	for _, a := range others {
		km[a.Code] = kilometres(origin, a)
	}
	slices.SortStableFunc(others, func(a, b airport) int { return cmp.Compare(km[a.Code], km[b.Code]) })
	return others[:min(n, len(others))]
}

func (s *store) country(code string) (country, bool) {
	s.query()
	i, found := slices.BinarySearchFunc(s.countries, strings.ToUpper(code), func(c country, code string) int {
		return cmp.Compare(c.Code, code)
	})
	if !found {
		return country{}, false
	}
	return s.countries[i], true
}

func (s *store) allCountries() []country {
	s.query()
	return slices.Clone(s.countries)
}

func (s *store) where(keep func(airport) bool) []airport {
	var kept []airport
	for _, a := range s.airports {
		if keep(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// kilometres is the great-circle distance on a sphere of the Earth's mean
// radius, by the haversine formula.
func kilometres(a, b airport) float64 {
	const earthRadius, degree = 6371.0, math.Pi / 180
	dLat := (b.Latitude - a.Latitude) * degree
	dLon := (b.Longitude - a.Longitude) * degree
	h := math.Pow(math.Sin(dLat/2), 2) +
		math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * earthRadius * math.Asin(math.Sqrt(h))
}

// roundTo rounds to a number of decimal places.
func roundTo(x float64, places int) float64 {
	scale := math.Pow10(places)
	return math.Round(x*scale) / scale
}
