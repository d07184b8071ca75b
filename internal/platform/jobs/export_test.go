package jobs

import "context"

// Look does once what Run does until it is stopped.
func (r *Runner) Look(ctx context.Context) error {
	for _, j := range r.jobs {
		if err := r.register(ctx, j); err != nil {
			return err
		}
	}
	return r.due(ctx)
}
