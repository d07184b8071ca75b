package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// masterKeys are those that the settings name, or the one that the first start made.
type masterKeys struct {
	file     string
	made     *vault.Key // in the file
	named    *vault.Key // by FUSION_SECRETS_KEY
	previous []vault.Key
}

var errMasterKey = errors.New("no master key for this shop's secrets")

func readMasterKeys(cfg config.Config) (m masterKeys, err error) {
	m.file = keyFile(cfg)
	made, ok, err := vault.ReadKey(m.file)
	if err != nil {
		return m, fmt.Errorf("%w: %w", errMasterKey, err)
	}
	if ok {
		m.made = &made
	}
	if text := cfg.Secrets.Key.Reveal(); text != "" {
		key, err := vault.ParseKey(text)
		if err != nil {
			return m, fmt.Errorf("secrets.key: %w", err)
		}
		m.named = &key
	}
	if list := cfg.Secrets.PreviousKeys.Reveal(); list != "" {
		for text := range strings.SplitSeq(list, ",") {
			key, err := vault.ParseKey(text)
			if err != nil {
				return m, fmt.Errorf("secrets.previous_keys: %w", err)
			}
			m.previous = append(m.previous, key)
		}
	}
	return m, nil
}

func keyFile(cfg config.Config) string { return filepath.Join(cfg.Data.Dir, "secrets.key") }

// vault of these keys; false when there is none to seal with.
func (m masterKeys) vault() (*vault.Vault, bool) {
	switch {
	case m.named != nil && m.made != nil:
		// Who names a key in place of the made one need not copy that one.
		return vault.New(*m.named, append(m.previous, *m.made)...), true
	case m.named != nil:
		return vault.New(*m.named, m.previous...), true
	case m.made != nil:
		return vault.New(*m.made, m.previous...), true
	}
	return &vault.Vault{}, false
}

// unlock finds the keys of the shop's secrets, or makes one when there are none yet, and
// refuses those that do not open what is there.
func (d *database) unlock(ctx context.Context, cfg config.Config, log *slog.Logger) (v *vault.Vault, err error) {
	keys, err := readMasterKeys(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := d.pool(1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(d.reach(err, d.app), pool.Close()) }()
	v, ok := keys.vault()
	if !ok {
		if err := v.Opens(ctx, pool); err != nil {
			return nil, otherKey(err)
		}
		key := vault.GenerateKey()
		if err := vault.WriteKey(keys.file, key); err != nil {
			return nil, fmt.Errorf("%w: %w.\nSet FUSION_SECRETS_KEY, such as to what this prints: openssl rand -base64 32", errMasterKey, err)
		}
		keys.made, v = &key, vault.New(key)
	}
	if err := v.Adopt(ctx, pool); err != nil {
		return nil, otherKey(err)
	}
	if keys.named == nil && d.cluster == nil {
		log.WarnContext(ctx, "secrets are sealed by a key on this machine only: keep it, and give it to the shop's other programs as FUSION_SECRETS_KEY", "file", shown(keys.file))
	}
	return v, nil
}

// otherKey says what to do about a key that is not the shop's.
func otherKey(err error) error {
	if !errors.Is(err, vault.ErrOtherKey) {
		return err
	}
	return fmt.Errorf("%w.\nSet FUSION_SECRETS_KEY to the key that the shop has had (the first start keeps it in secrets.key of its data folder), or name that one in FUSION_SECRETS_PREVIOUS_KEYS when it is being changed", err)
}
