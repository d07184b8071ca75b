package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// report writes one JSON line a scenario.
type report struct {
	out    io.Writer
	commit string
	cores  int
	errors int // of all lines so far
}

// about is what every line says.
type about struct {
	Scenario string `json:"scenario"`
	Commit   string `json:"commit"`
	Cores    int    `json:"cores"`
}

// throughput is the line of a scenario under load.
type throughput struct {
	about
	PerSecond      float64 `json:"per_second"`
	P50            float64 `json:"p50_ms"`
	P95            float64 `json:"p95_ms"`
	P99            float64 `json:"p99_ms"`
	Errors         int     `json:"errors"`
	Floor          string  `json:"floor"`
	FloorPerSecond float64 `json:"floor_per_second"`
	Ratio          float64 `json:"ratio"`
	// Processor time a request, of the program with PostgreSQL and of the floor with it. It
	// depends less than the rates on what else the machine does.
	CPU      float64 `json:"cpu_us,omitempty"`
	FloorCPU float64 `json:"floor_cpu_us,omitempty"`
	Clients  int     `json:"clients"`
	Seconds  float64 `json:"seconds"`
}

// start is the line of a cold start.
type start struct {
	about
	Existing float64 `json:"existing_ms"`
	Fresh    float64 `json:"fresh_ms"`
}

// memory is the line of what stays in memory, in MB of 1,000,000 bytes.
type memory struct {
	about
	ProgramIdle   float64 `json:"program_idle_mb"`
	ProgramAfter  float64 `json:"program_after_load_mb"`
	PostgresIdle  float64 `json:"postgres_idle_mb"`
	PostgresAfter float64 `json:"postgres_after_load_mb"`
}

// footprint is the line of what has to be shipped.
type footprint struct {
	about
	Binary float64 `json:"binary_mb"`
}

func (r *report) about(scenario string) about { return about{scenario, r.commit, r.cores} }

func (r *report) write(line any) error {
	if t, ok := line.(throughput); ok {
		r.errors += t.Errors
	}
	body, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "%s\n", body)
	return err
}
