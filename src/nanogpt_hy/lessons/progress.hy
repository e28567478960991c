"A learner's progress: a small JSON file in the user's own folder."

(eval-when-compile
  (require hyrule [unless]))
(import  json
         os
         pathlib [Path]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.files [read-bytes write-atomic])

(setv MOST 1,000,000)        ; bytes; sixteen lessons need less than two thousand

(defn home []
  "The folder for what belongs to the user."
  (setv named (.get os.environ "NANOGPT_HY_HOME")
        data  (.get os.environ "XDG_DATA_HOME"))
  (cond
    named  (Path named)
    data   (/ (Path data) "nanogpt-hy")
    True   (/ (.expanduser (Path "~")) ".local" "share" "nanogpt-hy")))

(defn progress-path [] (/ (home) "progress.json"))

(defn checked [values]
  "VALUES, which came from a file, if they are a record of progress; else ValueError."
  (unless (and (isinstance values dict) (isinstance (.get values "lessons") dict)
               (all (gfor  record (.values (get values "lessons"))
                           (and (isinstance record dict)
                                (isinstance (.get record "sections" []) list)
                                (all (gfor  s (.get record "sections" [])  (isinstance s str)))
                                (isinstance (.get record "answers" {}) dict)))))
    (raise (ValueError "not a record of lessons")))
  values)

(defn usable-progress [say]
  "-> {lesson name: record}. A file that holds no such thing is set aside, and SAY told so;
  RequestError where the file cannot be read, for what it holds may be in order."
  (setv path (progress-path))
  (unless (os.path.lexists path)
    (return {}))
  (setv data (read-bytes path :most MOST))
  (try
    (get (checked (json.loads (.decode data "utf-8"))) "lessons")
    (except [e [ValueError RecursionError]]
      (setv aside (.with-suffix path ".broken.json"))
      (try
        (os.replace path aside)
        (say f"{path} cannot be used; it is now {aside.name}, and progress starts anew.")
        (except [OSError]
          (say f"{path} cannot be used: {e}")))
      {})))

(defn read-progress [[say print]]
  "-> {lesson name: record}; none where the file cannot be used, of which SAY is told."
  (try
    (usable-progress say)
    (except [e RequestError]
      (say f"{e}; until then no progress is kept.")
      {})))

(defn note-progress [name change]
  "Let CHANGE, a function of the lesson's record, write into it, and save. False if that failed:
  a lesson goes on all the same."
  (try
    (setv lessons (usable-progress (fn [text] None)))
    (change (.setdefault lessons name {}))
    (.mkdir (home) :parents True :exist-ok True)
    (write-atomic (progress-path)
                  (json.dumps {"version" 1  "lessons" lessons} :indent 1 :sort-keys True))
    True
    (except [[OSError RequestError WorkError]]
      False)))

(defn note-section [name section]
  "Section SECTION of lesson NAME was gone through."
  (note-progress name (fn [record]
    (setv (get record "sections") (sorted (| (set (.get record "sections" [])) #{section}))))))

(defn note-answer [name number right]
  "Question NUMBER of lesson NAME was answered; what was right once stays right."
  (note-progress name (fn [record]
    (setv answers (.setdefault record "answers" {})
          (get answers (str number)) (or right (.get answers (str number) False))))))

(defn note-exercise [name]
  "The exercise of lesson NAME passed its check."
  (note-progress name (fn [record] (setv (get record "exercise") True))))
