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

(defn read-progress [[say print]]
  "-> {lesson name: record}. A file that cannot be used is set aside, and SAY told so."
  (setv path (progress-path))
  (unless (os.path.lexists path)
    (return {}))
  (try
    (get (checked (json.loads (.decode (read-bytes path :most MOST) "utf-8"))) "lessons")
    (except [e [ValueError RecursionError RequestError]]
      (setv aside (.with-suffix path ".broken.json"))
      (try
        (os.replace path aside)
        (say f"{path} cannot be used; it is now {aside.name}, and progress starts anew.")
        (except [OSError]
          (say f"{path} cannot be used: {e}")))
      {})))

(defn note-progress [name change]
  "Let CHANGE, a function of the lesson's record, write into it, and save. False if that failed:
  a lesson goes on all the same."
  (setv lessons (read-progress (fn [text] None))
        record  (.setdefault lessons name {}))
  (change record)
  (try
    (.mkdir (home) :parents True :exist-ok True)
    (write-atomic (progress-path)
                  (json.dumps {"version" 1  "lessons" lessons} :indent 1 :sort-keys True))
    True
    (except [[OSError WorkError]]
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
