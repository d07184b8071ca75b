package kafkakit

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
)

// findLibs returns the folder of the jars of the version that scripts/kafka/pom.xml names.
func findLibs() (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			return "", fmt.Errorf("look for Apache Kafka: the specs do not run inside the repository")
		}
		root = filepath.Dir(root)
	}
	content, err := os.ReadFile(filepath.Join(root, "scripts", "kafka", "pom.xml"))
	if err != nil {
		return "", fmt.Errorf("look for Apache Kafka: %w", err)
	}
	var pom struct {
		Version string `xml:"properties>kafka.version"`
	}
	if err := xml.Unmarshal(content, &pom); err != nil {
		return "", fmt.Errorf("look for Apache Kafka: %w", err)
	}
	libs := filepath.Join(root, ".bin", "kafka-"+pom.Version, "libs")
	if _, err := os.Stat(libs); err != nil {
		return "", fmt.Errorf("there is no Apache Kafka %s: run make kafka (%w)", pom.Version, err)
	}
	return libs, nil
}

// clusterID is what brokers know each other by: those of another suite, on a port that was
// theirs, are strangers.
func clusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[0] &= 0x7f // or it could begin with a dash, and pass for an option
	return base64.RawURLEncoding.EncodeToString(id[:])
}
