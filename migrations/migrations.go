// Package migrations embeds the schema history: one folder and one sequence a
// module, so that a split deployment migrates only what it runs.
package migrations

import "embed"

// FS holds <module>/NNNN_name.up.sql and .down.sql.
//
//go:embed */*.sql
var FS embed.FS
