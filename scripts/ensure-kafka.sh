#!/usr/bin/env bash
# Sees to it that the specs find Apache Kafka: its jars, from Maven Central, in
# .bin/kafka-VERSION/libs, and a Java that runs them. It starts nothing.
# The version stands in scripts/kafka/pom.xml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly pom=scripts/kafka/pom.xml oldest_java=17
readonly name=kafka otherwise="install Java $oldest_java or newer and Maven, or put JAVA_HOME where Java is"
source scripts/install.sh

# Looks where the specs do (internal/platform/testkit/kafkakit).
find_java() {
  local java=java version
  if [[ -n ${JAVA_HOME:-} ]]; then java=$JAVA_HOME/bin/java; fi
  version=$("$java" -version 2>&1) || return 1
  [[ $version =~ version\ \"([0-9]+) ]] && ((BASH_REMATCH[1] >= oldest_java))
}

find_maven() { command -v mvn >/dev/null; }

install_tools() {
  choose_manager "there is no Java $oldest_java with Maven"
  say "installing Java and Maven with $manager"
  case $manager in
    apt-get)
      apt_get update
      apt_install default-jre-headless maven
      ;;
    dnf) as_root dnf -y -q install java-latest-openjdk-headless maven ;;
    apk) as_root apk add --quiet openjdk17-jre-headless maven ;;
    pacman) as_root pacman -Sy --noconfirm --needed jre-openjdk-headless maven ;;
    brew) quietly brew install --quiet openjdk maven ;;
  esac
  if ! find_java; then give_up "installed, but no Java $oldest_java or newer answers to: ${JAVA_HOME:+$JAVA_HOME/bin/}java -version"; fi
  if ! find_maven; then give_up "installed, but there is no mvn in PATH"; fi
}

main() {
  local version home fresh
  version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
  home=.bin/kafka-$version
  # The copy of the pom comes last: it says that the jars beside it are complete.
  if cmp -s "$pom" "$home/pom.xml" && find_java; then return; fi

  if ! find_java || ! find_maven; then install_tools; fi
  if cmp -s "$pom" "$home/pom.xml"; then return; fi

  say "fetching Apache Kafka $version from Maven Central"
  mkdir -p .bin
  fresh=$(mktemp -d .bin/kafka-new-XXXXXX)
  quietly mvn --batch-mode --strict-checksums --file "$pom" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$PWD/$fresh/libs"
  cp "$pom" "$fresh/pom.xml"
  rm -rf "$home"
  mv "$fresh" "$home"
  say "installed in $home"
}

main
