package db

import "github.com/lib/pq"

// Array passes a slice as a PostgreSQL array, the way unnest and any take it.
func Array(slice any) any { return pq.Array(slice) }

// Texts is a text[] column that is read.
type Texts = pq.StringArray
