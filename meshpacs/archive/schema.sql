-- The index. Records are msgpack maps of tag to values, so a longer table of attributes needs no
-- change here; columns are only what a search narrows down by. A value that SQL cannot compare as
-- the matching rules do is stored as char(0), which every search includes.

CREATE TABLE IF NOT EXISTS contents (
    content         INTEGER PRIMARY KEY,
    root            BLOB    NOT NULL,
    transfer_syntax TEXT    NOT NULL,
    size_bytes      INTEGER NOT NULL,
    offset          INTEGER NOT NULL,  -- of the data set in the blob
    fetched         INTEGER NOT NULL,  -- which folder holds the blob: 0 blobs, 1 fetched
    leaves          BLOB,              -- NULL for up to one leaf
    UNIQUE (root, transfer_syntax)
);

-- A patient is a PatientID, its issuer and a name, folded: two people under one number are two.
CREATE TABLE IF NOT EXISTS patients (
    patient    INTEGER PRIMARY KEY,
    key_id     TEXT    NOT NULL,
    key_issuer TEXT    NOT NULL,
    key_name   TEXT    NOT NULL,
    key_study  TEXT    NOT NULL,       -- without a PatientID: its only study; else empty
    patient_id TEXT,
    names      TEXT    NOT NULL,
    birth_date,                       -- a day's ordinal
    record     BLOB    NOT NULL,       -- of the patient's first instance
    UNIQUE (key_id, key_issuer, key_name, key_study)
);
CREATE INDEX IF NOT EXISTS patients_patient_id ON patients (patient_id);

CREATE TABLE IF NOT EXISTS studies (
    study       INTEGER PRIMARY KEY,
    patient     INTEGER NOT NULL,
    study_uid   TEXT    NOT NULL,
    patient_id  TEXT,
    names       TEXT    NOT NULL,
    birth_date,
    study_date,
    accession   TEXT,
    modalities  TEXT    NOT NULL DEFAULT '',
    sop_classes TEXT    NOT NULL DEFAULT '',
    series_count   INTEGER NOT NULL DEFAULT 0,
    instance_count INTEGER NOT NULL DEFAULT 0,
    changed     INTEGER NOT NULL,
    record      BLOB    NOT NULL,      -- of the study's first instance, its patient's attributes too
    UNIQUE (study_uid, patient)
);
CREATE INDEX IF NOT EXISTS studies_patient ON studies (patient);
CREATE INDEX IF NOT EXISTS studies_patient_id ON studies (patient_id);
CREATE INDEX IF NOT EXISTS studies_date ON studies (study_date);
CREATE INDEX IF NOT EXISTS studies_accession ON studies (accession);

CREATE TABLE IF NOT EXISTS series (
    series     INTEGER PRIMARY KEY,
    study      INTEGER NOT NULL,
    series_uid TEXT    NOT NULL,
    instance_count INTEGER NOT NULL DEFAULT 0,
    record     BLOB    NOT NULL,
    UNIQUE (study, series_uid)
);
CREATE INDEX IF NOT EXISTS series_uid ON series (series_uid);

CREATE TABLE IF NOT EXISTS instances (
    instance    INTEGER PRIMARY KEY,
    series      INTEGER NOT NULL,
    sop_uid     TEXT    NOT NULL UNIQUE,
    sop_class   TEXT    NOT NULL,
    modality    TEXT    NOT NULL,
    content     INTEGER NOT NULL,
    own         INTEGER NOT NULL,      -- came in by this node's own door, not only from the mesh
    arrived_us  INTEGER NOT NULL,
    record      BLOB    NOT NULL
);
CREATE INDEX IF NOT EXISTS instances_series ON instances (series);
CREATE INDEX IF NOT EXISTS instances_content ON instances (content);

-- Instances under a SOP Instance UID that was already taken by other content.
CREATE TABLE IF NOT EXISTS conflicts (
    conflict   INTEGER PRIMARY KEY,
    sop_uid    TEXT    NOT NULL,
    content    INTEGER NOT NULL,
    own        INTEGER NOT NULL,
    came_from  TEXT    NOT NULL,
    arrived_us INTEGER NOT NULL,
    record     BLOB    NOT NULL,
    UNIQUE (sop_uid, content)
);
CREATE INDEX IF NOT EXISTS conflicts_content ON conflicts (content);

-- Fetched, and not yet visible: a selection is adopted whole, and its files' names are durable then.
CREATE TABLE IF NOT EXISTS staged (
    staged    INTEGER PRIMARY KEY,
    selection TEXT    NOT NULL,
    sop_uid   TEXT    NOT NULL,
    content   INTEGER NOT NULL,
    came_from TEXT    NOT NULL,
    record    BLOB    NOT NULL,
    UNIQUE (selection, sop_uid, content)
);
CREATE INDEX IF NOT EXISTS staged_content ON staged (content);

-- Selections that are under way: fetched into, neither adopted nor discarded yet.
CREATE TABLE IF NOT EXISTS stages (
    selection TEXT PRIMARY KEY,
    opened_us INTEGER NOT NULL
) WITHOUT ROWID;

-- Studies of which only a selection was adopted.
CREATE TABLE IF NOT EXISTS partial_studies (study_uid TEXT PRIMARY KEY) WITHOUT ROWID;

-- Instances that were here and whose bytes the disk has lost.
CREATE TABLE IF NOT EXISTS losses (
    sop_uid         TEXT    NOT NULL,
    study_uid       TEXT    NOT NULL,
    root            BLOB    NOT NULL,
    transfer_syntax TEXT    NOT NULL,
    own             INTEGER NOT NULL,
    found_us        INTEGER NOT NULL,
    why             TEXT    NOT NULL,
    PRIMARY KEY (sop_uid, root)
) WITHOUT ROWID;

-- Contents that were removed, until a start has seen that their blobs are gone.
CREATE TABLE IF NOT EXISTS removed (
    root            BLOB NOT NULL,
    transfer_syntax TEXT NOT NULL,
    PRIMARY KEY (root, transfer_syntax)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS manifests (
    study_uid TEXT    NOT NULL,
    origin    BLOB    NOT NULL,
    version   INTEGER NOT NULL,
    signed    BLOB    NOT NULL,
    PRIMARY KEY (study_uid, origin)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS boots (node BLOB PRIMARY KEY, boot INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
